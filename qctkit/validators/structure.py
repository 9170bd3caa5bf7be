"""``structure``: is the bone still the same bone, and is everything else untouched?"""

from dataclasses import dataclass

import numpy as np

from qctkit.contracts import Candidate, Verdict
from qctkit.density import DensityReference

LEAST_CORRELATION = 0.85
"""Pearson correlation of HU before and after inside the femur; a density change keeps cortex
bright and marrow dark, a broken structure does not."""

LEAST_HU = -400.0
HIGHEST_HU = 2500.0
"""Range of HU inside a femur without metal: fatty marrow with noise to enamel-dense cortex."""


@dataclass(frozen=True)
class Structure:
    """Voxels outside the region identical, structure inside correlated, HU within bone's range."""

    name: str = "structure"

    def judge(self, candidate: Candidate, reference: DensityReference) -> Verdict:  # noqa: ARG002
        """Return the verdict on geometry and structure."""
        before, after = candidate.source.volume.voxels, candidate.volume.voxels
        outside = int(np.count_nonzero((before != after) & ~candidate.region))
        inside = candidate.source.femur.voxels
        old, new = before[inside].astype(np.float64), after[inside].astype(np.float64)
        correlation = float(np.corrcoef(old, new)[0, 1]) if new.std() > 0 else 0.0
        # The source may hold an extreme voxel itself; the candidate must not add to them.
        extreme = int(_extreme(new).sum() - _extreme(old).sum())
        same_grid = candidate.volume.geometry.matches(candidate.source.volume.geometry)
        passed = outside == 0 and correlation >= LEAST_CORRELATION and extreme <= 0 and same_grid
        return Verdict(
            self.name,
            passed,
            {
                "voxels_changed_outside_region": outside,
                "correlation_inside_femur": correlation,
                "voxels_pushed_out_of_range": extreme,
            },
            f"{outside} voxels changed outside the region; HU inside the femur correlate "
            f"{correlation:.3f} with the source (at least {LEAST_CORRELATION}); "
            f"{max(extreme, 0)} voxels left {LEAST_HU:.0f} to {HIGHEST_HU:.0f} HU",
        )


def _extreme(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> np.ndarray:
    return (values < LEAST_HU) | (values > HIGHEST_HU)
