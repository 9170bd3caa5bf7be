"""Texture of a scan in layers about the femur's surface: what a radiomics model sees."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from qctkit.geometry import FloatArray

LAYERS_MM: Mapping[str, tuple[float, float]] = {
    "core": (5.0, np.inf),
    "shell": (0.0, 3.0),
    "rim": (-2.0, 0.0),
    "beside": (-4.0, -2.0),
    "around": (-12.0, -4.0),
}
"""Depths below the femur's surface, negative outside. Density recipes may change 2 mm outside the
mask, so a step left there lies between rim and beside."""

LAGS = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 2, 2))
"""Neighbours, in voxels along ``(D, H, W)``."""

QUANTILES = (0.1, 0.5, 0.9)
FEWEST_VOXELS = 30

TEXTURE_NAMES = tuple(
    f"{layer}_{name}"
    for layer in LAYERS_MM
    for name in (
        *(f"{share:.0%}_hu" for share in QUANTILES),
        *(f"difference_at_{'_'.join(map(str, lag))}_log_hu" for lag in LAGS),
        "roughness_log_hu",
    )
)


def texture_features(hu: NDArray[np.generic], depth_mm: FloatArray) -> FloatArray:
    """Return features ``(T,)`` of a scan ``(D, H, W)``, in the order of ``TEXTURE_NAMES``.

    Of each layer: quantiles of HU; the mean difference to neighbours (the dissimilarity of grey
    levels, Haralick 1973, without binning); and the mean second difference within a slice, which
    is noise more than anatomy. Both are logarithms, so that ratios are linear. A layer that the
    scan hardly shows gives 0 throughout.
    """
    values = hu.astype(np.float32)
    rough = np.abs(_second_difference(values))
    found: list[float] = []
    for low, high in LAYERS_MM.values():
        layer = (depth_mm > low) & (depth_mm <= high)
        if layer.sum() < FEWEST_VOXELS:
            found += [0.0] * (len(QUANTILES) + len(LAGS) + 1)
            continue
        found += np.quantile(values[layer], QUANTILES).tolist()
        found += [_log(one) for one in _differences(values, layer)]
        found.append(_log(float(rough[layer].mean())))
    return np.array(found)


def _differences(values: NDArray[np.float32], layer: NDArray[np.bool_]) -> Iterator[float]:
    """Yield the mean absolute difference of neighbours that both lie in a layer."""
    for lag in LAGS:
        here = tuple(slice(0, -step or None) for step in lag)
        there = tuple(slice(step, None) for step in lag)
        both = layer[here] & layer[there]
        differences = np.abs(values[here] - values[there])[both]
        yield float(differences.mean()) if len(differences) else 0.0


def _second_difference(values: NDArray[np.float32]) -> NDArray[np.float32]:
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)), mode="edge")
    inner = padded[:, 1:-1, 1:-1]
    beside = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
    return np.asarray(4 * inner - beside)


def _log(value: float) -> float:
    return float(np.log(max(value, 1.0)))
