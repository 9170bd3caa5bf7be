"""``noise-texture``: is the noise still that of the source's scanner?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qctkit.contracts import Candidate, Verdict
from qctkit.density import DensityReference
from qctkit.geometry import FloatArray
from qctkit.noise_windows import WINDOW, is_soft, windows, without_slope

EVENEST_SHARE = 0.25
"""Share of the soft tissue's windows that is compared: the others hold edges, before or after."""

FEWEST_WINDOWS = 30

BANDS = {"coarse": (0.1, 0.22), "middle": (0.22, 0.36), "fine": (0.36, 0.51)}
"""Spatial frequencies, cycles per voxel; what is coarser than a window is no texture."""

ALLOWED = 0.10


@dataclass(frozen=True)
class NoiseChange:
    """What became of the noise in even soft tissue that a recipe changed.

    Attributes:
        windows: how many windows of 8 x 8 voxels were compared.
        in_femur: share of them that lie mostly in the femur: marrow and thin bone.
        ratios: power over the source's by name of ``BANDS``; empty where hardly any was changed.
    """

    windows: int
    in_femur: float
    ratios: Mapping[str, float]


@dataclass(frozen=True)
class NoiseTexture:
    """The noise's power spectrum in even soft tissue, each band within 10 % of the source's.

    Both scans are compared in the same windows: those that are even before and after, and that
    the recipe changed. Noise that was stretched has more power in coarse bands, noise that was
    interpolated less in fine ones.
    """

    name: str = "noise-texture"
    limits: str = (
        f"noise power in changed soft tissue within {ALLOWED:.0%} of the source's in each of "
        f"{', '.join(f'{low:g} to {high:g}' for low, high in BANDS.values())} cycles a voxel, in "
        f"the evenest {EVENEST_SHARE:.0%} of windows where those are at least {FEWEST_WINDOWS}"
    )

    def judge(self, candidate: Candidate, reference: DensityReference) -> Verdict:  # noqa: ARG002
        """Return the verdict on the noise in soft tissue."""
        found = noise_change(candidate)
        if not found.ratios:
            words = "hardly any even soft tissue was changed, so its noise is the source's"
            return Verdict(self.name, True, {"windows": float(found.windows)}, words)
        named = ", ".join(f"{name} {ratio:.2f}" for name, ratio in found.ratios.items())
        return Verdict(
            self.name,
            all(abs(ratio - 1.0) <= ALLOWED for ratio in found.ratios.values()),
            {"windows": float(found.windows), "windows_in_femur": found.in_femur}
            | {f"{name}_power_ratio": ratio for name, ratio in found.ratios.items()},
            f"noise power in {found.windows} windows of even soft tissue, {found.in_femur:.0%} of "
            f"them in the femur's marrow and thin bone, is {named} times the source's (within "
            f"{ALLOWED:.0%} of 1)",
        )


def noise_change(candidate: Candidate) -> NoiseChange:
    """Return the noise of a candidate over its source's, in the same windows of both."""
    spread = np.concatenate([_spread(*one[:2]) for one in _changed_windows(candidate)])
    if len(spread) * EVENEST_SHARE < FEWEST_WINDOWS:
        return NoiseChange(len(spread), 0.0, {})
    most = np.quantile(spread, EVENEST_SHARE)
    # The windows are looked for twice, since all of them would fill memory.
    kept = [
        (old[chosen], new[chosen], femur[chosen])
        for old, new, femur in _changed_windows(candidate)
        if (chosen := _spread(old, new) <= most).any()
    ]
    old, new, femur = (np.concatenate(one) for one in zip(*kept, strict=True))
    before, after = _power(old), _power(new)
    ratios = {name: after[name] / before[name] for name in BANDS}
    return NoiseChange(len(femur), float(femur.mean()), ratios)


def _changed_windows(
    candidate: Candidate,
) -> Iterator[tuple[FloatArray, FloatArray, NDArray[np.bool_]]]:
    """Give, slice by slice, windows ``(n, 8, 8)`` of soft tissue in source and candidate.

    They lie in the region and changed; the plane that fits each best is taken away. With them,
    which ``(n,)`` lie mostly in the femur.
    """
    source = candidate.source
    volumes = source.volume.voxels, candidate.volume.voxels, candidate.region, source.femur.voxels
    for level in range(len(candidate.region)):
        old, new, inside, femur = (windows(one[level : level + 1]) for one in volumes)
        chosen = inside.all(axis=(1, 2)) & (old != new).any(axis=(1, 2))
        old, new = old[chosen].astype(np.float64), new[chosen].astype(np.float64)
        soft, mostly = is_soft(old) & is_soft(new), femur[chosen].mean(axis=(1, 2)) > 0.5
        yield without_slope(old[soft]), without_slope(new[soft]), mostly[soft]


def _spread(old: FloatArray, new: FloatArray) -> FloatArray:
    """Return the larger standard deviation of each window, before or after, ``(n,)``."""
    return np.asarray(np.maximum(old.std(axis=(1, 2)), new.std(axis=(1, 2))))


def _power(windows: FloatArray) -> dict[str, float]:
    """Return the mean power of each band."""
    power = (np.abs(np.fft.fft2(windows)) ** 2).mean(axis=0)
    axis = np.fft.fftfreq(WINDOW)
    frequency = np.hypot(axis[:, None], axis[None, :])
    return {
        name: float(power[(frequency >= low) & (frequency < high)].mean())
        for name, (low, high) in BANDS.items()
    }
