"""Where femoral heads may lie: a search for balls by the gradient of the image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

RADII_MM = np.arange(19.0, 31.0, 2.0)
"""Radii tried. Femoral heads measure 38 to 58 mm across; their outer votes spread a little."""

EDGE_HU_PER_MM = 25.0
"""Gradient of an edge that votes: a thin cortex, blurred by 3 mm slices, gives about 40."""

HU_RANGE = (0.0, 700.0)
"""HU are clipped to this, so that fat, air, a thick cortex and metal do not outvote a head."""


@dataclass(frozen=True)
class Ball:
    """A ball in the indices ``(d, h, w)`` of a grid; score 1 is a whole sphere of edges."""

    centre: tuple[float, float, float]
    radius_mm: float
    score: float


def find_balls(image_hu: NDArray[np.float32], spacing_mm: float, count: int) -> list[Ball]:
    """Return the most ball-like places of an image ``(D, H, W)``, best first.

    Each edge votes for centres along its gradient, on both sides: the head is bright within its
    surface and the acetabulum bright outside the joint space, and both are round about the same
    centre. Centres may lie up to a head's radius outside the box of all edges.
    """
    points, normals = _edges(image_hu, spacing_mm)
    if len(points) == 0:
        return []
    margin = int(np.ceil(25.0 / spacing_mm))
    start = points.min(axis=0) - margin
    shape = (points.max(axis=0) - start).astype(int) + margin + 1
    volume_votes = np.zeros((len(RADII_MM), *shape), dtype=np.float32)
    for votes, radius_mm in zip(volume_votes, RADII_MM, strict=True):
        _vote(votes, points - start, normals * (radius_mm / spacing_mm))
        votes[:] = ndimage.gaussian_filter(votes, 3.0 / spacing_mm) / radius_mm**2
    return _peaks(volume_votes, spacing_mm, start, count)


def _edges(
    image_hu: NDArray[np.float32], spacing_mm: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    clipped = np.clip(image_hu, *HU_RANGE)
    smooth = ndimage.gaussian_filter(clipped, 1.5 / spacing_mm)
    gradient = np.stack(list(np.gradient(smooth, spacing_mm)), axis=-1)
    size = np.linalg.norm(gradient, axis=-1)
    where = size > EDGE_HU_PER_MM
    points = np.argwhere(where).astype(np.float32)
    return points, (gradient[where] / size[where, None]).astype(np.float32)


def _vote(
    votes: NDArray[np.float32], points: NDArray[np.float32], steps: NDArray[np.float32]
) -> None:
    for sign in (1.0, -1.0):
        index = np.rint(points + sign * steps).astype(int)
        kept = ((index >= 0) & (index < votes.shape)).all(axis=1)
        flat = np.ravel_multi_index(tuple(index[kept].T), votes.shape)
        weights = np.abs(steps[kept, 0]) / np.linalg.norm(steps[kept], axis=1)
        votes += np.bincount(flat, weights, minlength=votes.size).reshape(votes.shape)


def _peaks(
    votes: NDArray[np.float32], spacing_mm: float, start: NDArray[np.float32], count: int
) -> list[Ball]:
    best = votes.max(axis=0)
    balls = []
    reach = round(20.0 / spacing_mm)
    for _ in range(count):
        d, h, w = (int(i) for i in np.unravel_index(int(best.argmax()), best.shape))
        radius_mm = float(RADII_MM[int(votes[:, d, h, w].argmax())])
        centre = (float(d + start[0]), float(h + start[1]), float(w + start[2]))
        balls.append(Ball(centre, radius_mm, float(best[d, h, w])))
        best[tuple(slice(max(0, i - reach), i + reach + 1) for i in (d, h, w))] = 0.0
    return balls
