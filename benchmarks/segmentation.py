"""How good are the femur masks?

Segments simulated hips, whose true mask is known, and the real scans of ``../shared/data/ct``,
which have none: those are shown in a picture, to be judged by eye.

    python benchmarks/segmentation.py [--subjects 29] [--seeds 0] [--picture FILE] [--big]
"""

import argparse
import time
import tracemalloc
from pathlib import Path

import matplotlib
import nibabel
import numpy as np

from qctkit.cohort import Side
from qctkit.errors import SegmentationError
from qctkit.geometry import Geometry
from qctkit.segmentation import SegmentedFemur, segment_femora
from qctkit.segmentation.grid import isotropic_grid, resample
from qctkit.simulate import SimulationSettings, draw_person, simulate_person
from qctkit.volume import Mask, Volume

matplotlib.use("Agg")
from matplotlib import pyplot as plt

SCANNERS = {
    "1 mm cubes": SimulationSettings(spacing_mm=(1.0, 1.0, 1.0)),
    "3 mm slices, 0.9 mm pixels": SimulationSettings(
        spacing_mm=(3.0, 0.9, 0.9), psf_fwhm_mm=(3.0, 1.8, 1.8)
    ),
}
BIG = SimulationSettings(spacing_mm=(1.0, 0.9, 0.9), field_of_view_mm=(300.0, 460.8, 320.0))
BIG_HALF_WIDTH, BIG_MIDLINE_MM = 256, 130.0
VIEW_MM = ((75.0, 40.0), (50.0, 50.0))


def main() -> None:
    """Print the tables and write the picture."""
    options = _options()
    for seed in options.seeds if options.subjects else ():
        for name, settings in SCANNERS.items():
            _simulated(name, settings, seed, options.subjects, verbose=options.verbose)
    if options.big:
        _big()
    if options.data.is_dir():
        _real(sorted(options.data.glob("*/*ct.nii.gz")), options.picture)
    else:
        print(f"no real scans at {options.data}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=29, help="simulated hips; 0 for none")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--verbose", action="store_true", help="one line per simulated hip")
    parser.add_argument("--big", action="store_true", help="time a scan of 512 x 512 x 300")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/ct"))
    parser.add_argument("--picture", type=Path, help="PNG of the real scans with their masks")
    return parser.parse_args()


def _simulated(
    name: str, settings: SimulationSettings, seed: int, subjects: int, *, verbose: bool
) -> None:
    rows = []
    for index in range(subjects):
        sample = simulate_person(draw_person(seed, index), settings)
        start = time.process_time()
        mask, doubts = _mask_of(sample.volume)
        seconds = time.process_time() - start
        rows.append((*_agreement(mask, sample.femur.voxels), seconds, bool(doubts)))
        if verbose:
            print(f"{sample.sample_id}: Dice {rows[-1][0]:.4f}, {seconds:.1f} s", *doubts)
    dice, missed, excess, seconds_all, doubted = np.array(rows, dtype=float).T
    print(
        f"seed {seed}, {name}, {subjects} hips: Dice min {dice.min():.4f}, median "
        f"{np.median(dice):.4f}; missed at most {missed.max():.1%}, too much at most "
        f"{excess.max():.1%}; {int(doubted.sum())} doubted; {np.median(seconds_all):.1f} s each",
        flush=True,
    )


def _mask_of(volume: Volume) -> tuple[Mask, tuple[str, ...]]:
    try:
        femur = segment_femora(volume).femora[0]
    except SegmentationError:
        return np.zeros(volume.geometry.shape, dtype=bool), ("not found",)
    return femur.mask.voxels, femur.doubts


def _agreement(mask: Mask, truth: Mask) -> tuple[float, float, float]:
    """Return Dice, and what is missed and too much as parts of the truth."""
    both, whole = (mask & truth).sum(), truth.sum()
    dice = 2.0 * both / (mask.sum() + whole)
    return float(dice), float((whole - both) / whole), float((mask.sum() - both) / whole)


def _big() -> None:
    """Time a simulated left hip and its mirror image in one large scan."""
    sample = simulate_person(draw_person(0, 0), BIG)
    affine = sample.volume.geometry.affine
    stop = round((BIG_MIDLINE_MM - affine[0, 3]) / BIG.spacing_mm[2])
    half = sample.volume.voxels[:, :, stop - BIG_HALF_WIDTH : stop]
    voxels = np.concatenate([half, half[:, :, ::-1]], axis=2)
    volume = Volume(voxels, Geometry.from_spacing(voxels.shape, BIG.spacing_mm, (0.0, 0.0, 0.0)))
    del sample, half
    start = time.process_time()
    tracemalloc.start()
    found = segment_femora(volume)
    seconds = time.process_time() - start
    peak_gb = tracemalloc.get_traced_memory()[1] / 2**30
    tracemalloc.stop()
    print(
        f"512 x 512 x 300 with {found.hips_in_view} hips: {seconds:.1f} s of one core, "
        f"{peak_gb:.2f} GB of memory on top of the scan",
        flush=True,
    )


def _real(paths: list[Path], picture: Path | None) -> None:
    shown = []
    for path in paths:
        volume = _load(path)
        name = path.name.split("_ct")[0].removesuffix("_pelvis")
        start = time.process_time()
        found = segment_femora(volume)
        seconds = time.process_time() - start
        for femur in found.femora:
            cm3 = femur.mask.voxels.sum() * volume.geometry.voxel_volume_mm3 / 1000.0
            doubts = "; ".join(femur.doubts) or "no doubt"
            print(f"{name} {femur.mask.side}: {cm3:.0f} cm3; {doubts}")
            shown.append((f"{name} {femur.mask.side}", _planes(volume, femur)))
        for reason in found.left_out:
            print(f"{name}, left out: {reason}")
        print(f"{name}: {seconds:.1f} s", flush=True)
    if picture is not None:
        _draw(shown, picture)


def _load(path: Path) -> Volume:
    image = nibabel.load(path)
    voxels = np.asarray(image.dataobj).transpose(2, 1, 0)
    return Volume(voxels, Geometry(voxels.shape, image.affine[:, [2, 1, 0, 3]]))


def _planes(volume: Volume, femur: SegmentedFemur) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return axial, coronal and sagittal HU and mask through the centre of the head."""
    grid = isotropic_grid(volume.geometry, 1.0)
    centre = grid.to_index(femur.head_mm)
    outwards_mm = 15.0 if femur.mask.side is Side.RIGHT else -15.0
    spans = (VIEW_MM[0], VIEW_MM[1], (50.0 - outwards_mm, 50.0 + outwards_mm))
    box = [
        slice(int(np.clip(c - low, 0, n - 1)), int(np.clip(c + high, 1, n)))
        for c, (low, high), n in zip(centre, spans, grid.shape, strict=True)
    ]
    near = grid.crop(box)
    image_hu = resample(volume, near)
    mask = resample(Volume(femur.mask.voxels.astype(np.int16), volume.geometry), near)
    at = np.clip(np.rint(near.to_index(femur.head_mm)), 0, np.subtract(near.shape, 1)).astype(int)
    return [(np.take(image_hu, at[axis], axis), np.take(mask, at[axis], axis)) for axis in range(3)]


def _draw(shown: list[tuple[str, list[tuple[np.ndarray, np.ndarray]]]], picture: Path) -> None:
    columns = 2
    rows = -(-len(shown) // columns)
    figure, axes = plt.subplots(rows, 3 * columns, figsize=(11, 1.9 * rows), squeeze=False)
    for panel in axes.flat:
        panel.axis("off")
    for number, (name, planes) in enumerate(shown):
        row, first = number % rows, 3 * (number // rows)
        for panel, (image_hu, mask) in zip(axes[row, first : first + 3], planes, strict=True):
            panel.imshow(image_hu, cmap="gray", vmin=-150, vmax=800, origin="lower")
            panel.contour(mask, [0.5], colors="#ff5a36", linewidths=0.8)
        axes[row, first].set_title(name, fontsize=8, loc="left")
    figure.tight_layout(pad=0.3)
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main()
