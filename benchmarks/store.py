"""What the cohort file costs beside plain h5py and raw npy, and how fast 10,000 samples filter.

One volume of the size of a hip CT, with a scan's noise: writing, reading, and one slice in each
plane. Each figure is the best of several runs, and the ratio is to what a plain h5py gzip write of
the same voxels takes in the same run. Then a cohort of many tiny samples: opening it and filtering
by age and sex.

    python benchmarks/store.py [--shape 300 512 512] [--repeats 3] [--samples 10000]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qctkit import schema
from qctkit.cohort import FemurMask, MaskOrigin, Sample, Side
from qctkit.geometry import Geometry
from qctkit.store.encode import encode
from qctkit.store.group import write_group
from qctkit.store.reader import CohortFile
from qctkit.store.table import table_row
from qctkit.store.writer import CohortWriter, write_root
from qctkit.subject import Sex, Subject
from qctkit.volume import Volume
from qctkit.window import DEFAULT_WINDOW

Read = Callable[[tuple[object, ...]], NDArray[np.generic]]

SPACING_MM = (1.0, 0.8, 0.8)
NOISE_HU = 20.0
BODY_RADIUS = 0.42
FEMUR_RADIUS = 0.05
OTHER_CHUNKS = ((1, None, None), (16, 64, 64), (64, 64, 64), (None, None, None))
"""Chunks tried beside the cohort's own; None is the whole axis."""


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shape", type=int, nargs=3, default=(300, 512, 512))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--samples", type=int, default=10_000)
    options = parser.parse_args()
    sample = _scan(tuple(options.shape))
    with tempfile.TemporaryDirectory() as name:
        _volumes(sample, Path(name), options.repeats)
        _filtering(Path(name), options.samples, options.repeats)


def _scan(shape: tuple[int, int, int]) -> Sample:
    """Return a body in air with a rod of bone, in HU, smooth but for a scan's noise."""
    generator = np.random.default_rng(0)
    d, h, w = shape
    y, x = np.ogrid[:h, :w]
    radius = np.hypot(y / h - 0.5, x / w - 0.5)
    femur = np.hypot(y / h - 0.5, x / w - 0.3) < FEMUR_RADIUS
    plane = np.select([femur, radius < BODY_RADIUS], [300.0, 40.0], -1000.0)
    voxels = np.empty(shape, np.int16)
    for number in range(d):
        noise = ndimage.gaussian_filter(generator.normal(0, NOISE_HU, (h, w)), 0.6)
        voxels[number] = np.rint(np.maximum(plane + 2 * noise, -1024))
    mask = np.broadcast_to(femur, shape).copy()
    return Sample(
        "scan",
        Subject("scan", Sex.F, 70.0, 65.0),
        Volume(voxels, Geometry.from_spacing(shape, SPACING_MM)),
        FemurMask(mask, Side.LEFT, MaskOrigin.GIVEN),
    )


@dataclass(frozen=True)
class Store:
    """A way to keep one volume: how it is written, and how a part of it is read."""

    label: str
    path: Path
    write: Callable[[], object]
    read: Read


def _volumes(sample: Sample, folder: Path, repeats: int) -> None:
    voxels = sample.volume.voxels
    size = "x".join(map(str, voxels.shape))
    print(f"{size} {voxels.dtype}, seconds (in brackets: of the plain h5py gzip write)")
    print(f"{'':34}{'write':>13}{'read':>13}{'axial':>8}{'coronal':>9}{'sagittal':>9}{'size':>7}")
    unit = 0.0
    for store in _stores(sample, folder):
        write = _seconds(store.write, repeats)
        unit = unit or write  # the first one is the plain write
        whole = _seconds(partial(store.read, ()), repeats)
        slices = [_seconds(partial(store.read, one), repeats) for one in _planes(voxels.shape)]
        print(
            f"{store.label:34}{write:6.2f} ({write / unit:4.2f}){whole:6.2f} ({whole / unit:4.2f})"
            f"{slices[0]:8.3f}{slices[1]:9.3f}{slices[2]:9.3f}"
            f"{store.path.stat().st_size / voxels.nbytes:7.2f}"
        )
    cohort = CohortFile(store.path)
    load = _seconds(lambda: cohort.load(sample.sample_id), repeats)
    print(
        "\nThe cohort file also holds the mask, and its write checksums, assembles and flushes.\n"
        f"CohortFile.load with mask, checksum and table checked: {load:.2f} s ({load / unit:.2f})"
    )


def _planes(shape: tuple[int, ...]) -> list[tuple[object, ...]]:
    d, h, w = (length // 2 for length in shape)
    everything = slice(None)
    return [(d,), (everything, h), (everything, everything, w)]


def _stores(sample: Sample, folder: Path) -> list[Store]:
    """Return the plain h5py gzip write first and the cohort file last."""
    voxels = sample.volume.voxels
    raw, own = folder / "raw.npy", folder / "own.h5"

    def write_own() -> None:
        with CohortWriter(own, {"command": "benchmark"}, overwrite=True) as writer:
            writer.add(0, sample)

    plain = _h5py(voxels, folder / "plain.h5", "h5py gzip", chunks=True, shuffle=False)
    stores = [plain, Store("npy", raw, partial(np.save, raw, voxels), partial(_read_npy, raw))]
    for number, given in enumerate(OTHER_CHUNKS):
        chunks = tuple(length or size for length, size in zip(given, voxels.shape, strict=True))
        label = f"h5py gzip, shuffle, {'x'.join(map(str, chunks))}"
        path = folder / f"chunks-{number}.h5"
        stores.append(_h5py(voxels, path, label, chunks=chunks, shuffle=True))
    read_own = partial(_read_h5, own, f"samples/{sample.sample_id}/volume")
    return [*stores, Store("cohort file", own, write_own, read_own)]


def _h5py(
    voxels: NDArray[np.generic], path: Path, label: str, *, chunks: object, shuffle: bool
) -> Store:
    def write() -> None:
        with h5py.File(path, "w") as file:
            file.create_dataset(
                "volume", data=voxels, chunks=chunks, compression="gzip", shuffle=shuffle
            )

    return Store(label, path, write, partial(_read_h5, path, "volume"))


def _read_h5(path: Path, name: str, index: tuple[object, ...]) -> NDArray[np.generic]:
    with h5py.File(path) as file:
        return np.asarray(file[name][index])


def _read_npy(path: Path, index: tuple[object, ...]) -> NDArray[np.generic]:
    return np.array(np.load(path, mmap_mode="r")[index])


def _filtering(folder: Path, count: int, repeats: int) -> None:
    path = folder / "many.h5"
    began = time.perf_counter()
    _write_many(path, count)
    built = time.perf_counter() - began

    def opened_and_filtered() -> int:
        table = CohortFile(path).table
        return int(((table["age_years"] > 70) & (table["sex"] == "F")).sum())

    seconds = _seconds(opened_and_filtered, repeats)
    print(
        f"\n{count} samples, {path.stat().st_size / 1e6:.0f} MB, built in {built:.0f} s: "
        f"opened and filtered to {opened_and_filtered()} in {seconds:.3f} s, no voxel touched"
    )


def _write_many(path: Path, count: int) -> None:
    """Write a cohort of tiny samples at once, without the parts that make a long run safe."""
    generator = np.random.default_rng(0)
    tiny = _scan((4, 16, 16))
    tiny = replace(tiny, femur=replace(tiny.femur, voxels=np.ones((4, 16, 16), bool)))
    rows = []
    with h5py.File(path, "w") as file:
        samples = file.create_group(schema.SAMPLES)
        for number in range(count):
            sex = Sex.F if number % 2 else Sex.M
            subject = Subject(f"S{number:05d}", sex, float(generator.uniform(40, 90)), 65.0)
            sample = replace(tiny, sample_id=subject.subject_id, subject=subject)
            stored = encode(sample)
            sha256 = stored.checksum()
            write_group(samples.create_group(sample.sample_id), stored, sha256)
            rows.append(table_row(sample, stored, sha256))
        write_root(file, rows, {"command": "benchmark"}, DEFAULT_WINDOW)


def _seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the best wall time of several runs."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


if __name__ == "__main__":
    main()
