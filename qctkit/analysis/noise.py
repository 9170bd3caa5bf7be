"""The noise of a scan in even soft tissue: power spectrum and autocorrelation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qctkit.analysis.estimate import Estimate, jackknife
from qctkit.geometry import FloatArray
from qctkit.noise_windows import WINDOW, is_soft, windows, without_slope

EVENEST_SHARE = 0.25
FEWEST_WINDOWS = 30
LAGS = (1, 2, 3)
RINGS = WINDOW // 2
FREQUENCIES = tuple((ring + 1) / WINDOW for ring in range(RINGS))
"""Centres of the spectrum's rings, cycles a voxel."""


@dataclass(frozen=True, eq=False)
class Noise:
    """Noise of one scan; NaN throughout where it shows too little even soft tissue.

    Attributes:
        power: ``(R,)`` mean power in rings of spatial frequency within slices, HU2 a window.
        autocorrelation: ``(L,)`` at 1, 2 and 3 voxels within slices, rows and columns together.
        between_slices: correlation of the same place in neighbouring slices.
    """

    power: FloatArray
    autocorrelation: FloatArray
    between_slices: float


def measure_noise(hu: NDArray[np.generic]) -> Noise:
    """Return the noise of a scan ``(D, H, W)`` in the evenest quarter of its soft-tissue windows.

    Each window loses the plane that fits it best, so nothing coarser than a window counts.
    """
    tiles = windows(hu).astype(np.float64)
    soft = np.flatnonzero(is_soft(tiles))
    if len(soft) * EVENEST_SHARE < FEWEST_WINDOWS:
        return Noise(np.full(RINGS, np.nan), np.full(len(LAGS), np.nan), float("nan"))
    level = without_slope(tiles[soft])
    spread = level.std(axis=(1, 2))
    chosen = spread <= np.quantile(spread, EVENEST_SHARE)
    even = level[chosen]
    return Noise(
        _power(even),
        np.array([_correlation(even, lag) for lag in LAGS]),
        _between(even, soft[chosen], len(tiles) // len(hu)),
    )


def power_ratio(
    one: FloatArray, other: FloatArray, groups: NDArray[np.str_], others: NDArray[np.str_]
) -> list[Estimate]:
    """Return in each ring the ratio of geometric mean powers, one over other, over subjects.

    Made samples and their sources are resampled together where they share a subject.
    """
    names = np.concatenate([groups, others])
    found = []
    for ring in range(one.shape[1]):
        logs = np.log(np.concatenate([one[:, ring], other[:, ring]]))
        is_one = np.arange(len(logs)) < len(one)
        known = np.isfinite(logs)

        def difference(
            kept: NDArray[np.bool_],
            logs: FloatArray = logs[known],
            is_one: NDArray[np.bool_] = is_one[known],
        ) -> float:
            if not (kept & is_one).any() or not (kept & ~is_one).any():
                return float("nan")
            return float(logs[kept & is_one].mean() - logs[kept & ~is_one].mean())

        log = jackknife(difference, names[known])
        found.append(
            Estimate(float(np.exp(log.value)), _exp(log.low), _exp(log.high), log.subjects)
        )
    return found


def _power(even: FloatArray) -> FloatArray:
    power = (np.abs(np.fft.fft2(even)) ** 2).mean(axis=0)
    axis = np.fft.fftfreq(WINDOW)
    ring = np.rint(np.hypot(axis[:, None], axis[None, :]) * WINDOW).astype(int)
    return np.array([power[ring == one + 1].mean() for one in range(RINGS)])


def _correlation(even: FloatArray, lag: int) -> float:
    rows = (even[:, lag:] * even[:, :-lag]).mean()
    columns = (even[:, :, lag:] * even[:, :, :-lag]).mean()
    return float((rows + columns) / 2 / max(float((even**2).mean()), 1e-9))


def _between(even: FloatArray, places: NDArray[np.intp], in_slice: int) -> float:
    """Return the correlation of windows with those of the next slice, where both are even."""
    row_of = {int(place): row for row, place in enumerate(places)}
    pairs = [
        (row, row_of[place + in_slice])
        for place, row in row_of.items()
        if place + in_slice in row_of
    ]
    if len(pairs) < FEWEST_WINDOWS // 3:
        return float("nan")
    here, there = (even[[pair[side] for pair in pairs]] for side in (0, 1))
    return float(
        (here * there).mean() / max(float(np.sqrt((here**2).mean() * (there**2).mean())), 1e-9)
    )


def _exp(value: float | None) -> float | None:
    return None if value is None else float(np.exp(value))
