"""``structure``: is the bone still the same bone, and is everything else untouched?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qctkit.boxes import bounding_box
from qctkit.contracts import Candidate, Verdict
from qctkit.density import DensityReference
from qctkit.volume import Mask

LEAST_CORRELATION = 0.85
"""Pearson correlation of HU before and after inside the femur; a density change keeps cortex
bright and marrow dark, a broken structure does not."""

LEAST_HU = -400.0
HIGHEST_HU = 2500.0
"""Range of HU inside a femur without metal: fatty marrow with noise to enamel-dense cortex."""

MOST_EXTREME_SHARE = 1e-4
"""Of the femur's voxels, how many may newly leave that range: noise on a dense cortex does."""

VOLUME_RANGE = (0.6, 1.7)
"""What a femur's volume may be multiplied by: women's and men's differ by about 1.4 [A], and a
target may change age and weight beside."""

LEAST_IN_ONE_PIECE = 0.999


@dataclass(frozen=True)
class Structure:
    """Voxels outside the region identical, structure inside correlated, HU within bone's range.

    Where nothing may move the mask is identical too. Where it may, what is compared with the
    candidate is the source moved in the same way, and the map must keep its sense (det J > 0),
    the femur stay in one piece, and its volume be that of another person's.
    """

    name: str = "structure"
    limits: str = (
        f"no voxel changed outside the region; HU in the femur correlate at least "
        f"{LEAST_CORRELATION:g} with the source's; at most {MOST_EXTREME_SHARE:.2%} of its voxels "
        f"newly beyond {LEAST_HU:.0f} to {HIGHEST_HU:.0f} HU; the mask unmoved or, where edits "
        f"move it, det J above 0, volume {VOLUME_RANGE[0]:g} to {VOLUME_RANGE[1]:g} times the "
        f"source's, {LEAST_IN_ONE_PIECE:.1%} in one piece or as much as of the source"
    )

    def judge(self, candidate: Candidate, reference: DensityReference) -> Verdict:  # noqa: ARG002
        """Return the verdict on geometry and structure."""
        shape = _unmoved(candidate) if candidate.moved_hu is None else _moved(candidate)
        before, after = candidate.source.volume.voxels, candidate.volume.voxels
        outside = int(np.count_nonzero((before != after) & ~candidate.region))
        inside = candidate.femur.voxels
        expected = before if candidate.moved_hu is None else candidate.moved_hu
        old, new = expected[inside].astype(np.float64), after[inside].astype(np.float64)
        correlation = float(np.corrcoef(old, new)[0, 1]) if new.std() > 0 else 0.0
        # The source may hold extreme voxels itself; the candidate must not add many to them.
        extreme = int(_extreme(new).sum() - _extreme(old).sum())
        few = extreme <= MOST_EXTREME_SHARE * len(new)
        same_grid = candidate.volume.geometry.matches(candidate.source.volume.geometry)
        passed = outside == 0 and correlation >= LEAST_CORRELATION and few and same_grid
        return Verdict(
            self.name,
            passed and shape.passed,
            {
                "voxels_changed_outside_region": outside,
                "correlation_inside_femur": correlation,
                "voxels_pushed_out_of_range": extreme,
                **shape.figures,
            },
            f"{outside} voxels changed outside the region; HU inside the femur correlate "
            f"{correlation:.3f} with the source (at least {LEAST_CORRELATION}); "
            f"{max(extreme, 0)} voxels left {LEAST_HU:.0f} to {HIGHEST_HU:.0f} HU; {shape.words}",
        )


@dataclass(frozen=True)
class _Shape:
    """What was found of the femur's outline."""

    passed: bool
    figures: Mapping[str, float]
    words: str


def _unmoved(candidate: Candidate) -> _Shape:
    differ = int(np.count_nonzero(candidate.femur.voxels != candidate.source.femur.voxels))
    return _Shape(
        differ == 0, {"mask_voxels_changed": differ}, f"{differ} voxels of the mask moved"
    )


def _moved(candidate: Candidate) -> _Shape:
    least = min(
        (value for name, value in candidate.figures.items() if name.endswith("least_determinant")),
        default=float("nan"),
    )
    volume = candidate.femur.voxels.sum() / candidate.source.femur.voxels.sum()
    piece = _largest_piece(candidate.femur.voxels)
    # A mask that was given in pieces may stay so.
    enough = min(LEAST_IN_ONE_PIECE, _largest_piece(candidate.source.femur.voxels))
    low, high = VOLUME_RANGE
    return _Shape(
        bool(least > 0.0 and low <= volume <= high and piece >= enough),
        {
            "least_determinant": least,
            "femur_volume_ratio": float(volume),
            "femur_share_in_one_piece": piece,
        },
        f"the map's least det J is {least:.2f} (above 0); the femur's volume is {volume:.2f} times "
        f"the source's ({low} to {high}), {piece:.2%} of it in one piece",
    )


def _largest_piece(mask: Mask) -> float:
    """Return the share of a mask that hangs together, corners included."""
    near = mask[bounding_box(mask)]
    labels, _ = ndimage.label(near, structure=np.ones((3, 3, 3)))
    return float(np.bincount(labels[near])[1:].max() / mask.sum())


def _extreme(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (values < LEAST_HU) | (values > HIGHEST_HU)
