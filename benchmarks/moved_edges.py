"""What a scan loses when its tissue is moved by parts of a voxel; the oracle is scanned there.

    python benchmarks/moved_edges.py --people 8       # minutes on two cores

A simulated person is scanned twice with the same noise, on grids that lie a fraction of a voxel
apart. The first scan is moved by that fraction, by splines alone and as the engine moves it (the
femur's surface as a surface), and compared with the second: HU by depth below the surface, and
features by which a classifier tells made scans from real ones, in standard deviations of people.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qctkit.analysis.texture import TEXTURE_NAMES, texture_features
from qctkit.engine.grids import VoxelGrid
from qctkit.engine.noise import without_noise
from qctkit.engine.scenes import depth_mm
from qctkit.geometry import FloatArray, Geometry, Triple
from qctkit.pipeline.measure import signed_depth
from qctkit.processes import in_processes
from qctkit.simulate import draw_person
from qctkit.simulate.anatomy import Anatomy
from qctkit.simulate.render import render
from qctkit.simulate.scanner import blur, noise, noise_factor
from qctkit.simulate.settings import SimulationSettings
from qctkit.volume import Mask

SEED = 9000
SETTINGS = SimulationSettings()
SHIFTS: tuple[Triple, ...] = ((0.37, 0.41, -0.33), (-0.45, 0.2, 0.6), (0.2, -0.7, 0.15))
"""Voxels along ``(D, H, W)``."""

LAYERS_MM = ((-8.0, -4.0), (-4.0, -2.0), (-2.0, 0.0), (0.0, 2.0), (2.0, 4.0), (4.0, 8.0))
SHOWN = 6

Array = NDArray[np.float32]
Way = Callable[[Array, Array, Triple], tuple[Array, Mask]]


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan ``(D, H, W)``: HU without noise, int16 HU with it, and the femur."""

    quiet: Array
    hu: NDArray[np.int16]
    femur: Mask


@dataclass(frozen=True, eq=False)
class Found:
    """Of one person: by way of moving, features off and the error by layer (HU)."""

    features: FloatArray
    off: Mapping[str, FloatArray]
    error_hu: Mapping[str, FloatArray]


def main() -> None:
    """Move, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    found = [one for _, one in in_processes(compare, range(given.people), given.workers)]
    spread = np.maximum(np.std([one.features for one in found], axis=0), 1e-9)
    print("HU off (root mean square) by depth below the surface, mm")
    print("| moved | " + " | ".join(f"{low:+g} to {high:+g}" for low, high in LAYERS_MM) + " |")
    print("|---" * (len(LAYERS_MM) + 1) + "|")
    for way in WAYS:
        cells = np.sqrt(np.mean([np.square(one.error_hu[way]) for one in found], axis=0))
        print(f"| {way} | " + " | ".join(f"{hu:.0f}" for hu in cells) + " |")
    print("\nfeatures of texture, in spreads among people")
    for way in WAYS:
        off = np.mean([one.off[way] for one in found], axis=0) / spread
        worst = np.argsort(-np.abs(off))[:SHOWN]
        named = "; ".join(f"{TEXTURE_NAMES[k]} {off[k]:+.2f}" for k in worst)
        print(f"- {way}: {np.sqrt(np.square(off).mean()):.2f} off (root mean square); {named}")


def compare(number: int) -> Found:
    """Scan a person on two grids, move the first to the second."""
    first = scan(number, (0.0, 0.0, 0.0))
    source = first.hu.astype(np.float32)
    quiet, depth = without_noise(source), depth_mm(first.femur, SETTINGS.spacing_mm)
    off: dict[str, list[FloatArray]] = {way: [] for way in WAYS}
    error: dict[str, list[FloatArray]] = {way: [] for way in WAYS}
    for shift in SHIFTS:
        oracle = scan(number, shift)
        for way, move in WAYS.items():
            moved, femur = move(quiet, depth, shift)
            made = Scan(moved, np.rint(source + (moved - quiet)).astype(np.int16), femur)
            off[way].append(features(made) - features(oracle))
            apart = moved - oracle.quiet
            layers = [apart[(depth > low) & (depth <= high)] for low, high in LAYERS_MM]
            error[way].append(np.array([np.sqrt(np.mean(one**2)) for one in layers]))
    return Found(
        features(first),
        {way: np.mean(rows, axis=0) for way, rows in off.items()},
        {way: np.sqrt(np.mean(np.square(rows), axis=0)) for way, rows in error.items()},
    )


def scan(number: int, shift: Triple) -> Scan:
    """Return a person scanned on a grid that lies ``shift`` voxels further."""
    person, grid = draw_person(SEED, number), SETTINGS.geometry
    affine = grid.affine.copy()
    affine[:3, 3] = grid.to_world(shift)
    rendering = render(Anatomy(person, person), Geometry(grid.shape, affine))
    quiet = blur(rendering.hu, SETTINGS)
    grain = np.float32(SETTINGS.noise_hu * noise_factor(person)) * noise(person, SETTINGS)
    return Scan(quiet, np.rint(quiet + grain).astype(np.int16), rendering.femur)


def by_splines(quiet: Array, depth: Array, shift: Triple) -> tuple[Array, Mask]:
    """Move HU by cubic splines and the mask's depths linearly."""
    back = -np.asarray(shift)
    moved = ndimage.shift(quiet, back, order=3, mode="nearest")
    return moved, ndimage.shift(depth, back, order=1, mode="nearest") > 0


def as_surface(quiet: Array, depth: Array, shift: Triple) -> tuple[Array, Mask]:
    """Move as the engine does."""
    grid = VoxelGrid(np.eye(3), np.zeros(3), SETTINGS.spacing_mm)
    steps = np.broadcast_to(np.asarray(shift, dtype=np.float32), (*quiet.shape, 3))
    hu, moved_depth = grid.moved(quiet, depth, steps)
    return hu, moved_depth > 0


WAYS: Mapping[str, Way] = {"by splines": by_splines, "as a surface": as_surface}


def features(one: Scan) -> FloatArray:
    """Return the features of texture."""
    box, depth = signed_depth(one.femur, SETTINGS.spacing_mm)
    return texture_features(one.hu[box], depth)


if __name__ == "__main__":
    main()
