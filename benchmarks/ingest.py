"""What does it cost to take in a scan of 512 x 512 x 300, against the least that it could cost?

Writes one simulated pelvis as a DICOM series of int16 slices, then measures, in processes of their
own and in turns:

- plain: SimpleITK reads the series and h5py writes the voxels with its gzip;
- ingest with a given mask: `qctkit ingest --table`, everything but the segmentation;
- ingest: the same, and the femur is segmented.

Wall seconds tell what a user waits on a quiet machine; CPU seconds hardly move with the neighbours.

    python benchmarks/ingest.py [--rounds 3] [--slices 300]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from qctkit.exporters.nifti_file import write_mask
from qctkit.geometry import Geometry
from qctkit.simulate import SimulationSettings, simulate_cohort

PIXELS = 512
SPACING_MM = (1.0, 0.9, 0.9)
PLAIN = """
import sys, h5py, SimpleITK as sitk
reader = sitk.ImageSeriesReader()
reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(sys.argv[1]))
voxels = sitk.GetArrayFromImage(reader.Execute())
with h5py.File(sys.argv[2], "w") as file:
    file.create_dataset("volume", data=voxels, compression="gzip")
"""


def main() -> None:
    """Print the table."""
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_pelvis(folder, options.slices)
        (folder / "table.csv").write_text("subject_id,path,mask\nA,dicom,mask.nii.gz\n")
        ingest = [sys.executable, "-m", "qctkit", "ingest", "--overwrite", "-o"]
        ways = {
            "plain": [sys.executable, "-c", PLAIN, f"{folder}/dicom", f"{folder}/plain.h5"],
            "ingest, mask given": [*ingest, f"{folder}/a.h5", "--table", f"{folder}/table.csv"],
            "ingest, segmented": [*ingest, f"{folder}/b.h5", f"{folder}/dicom"],
        }
        measured: dict[str, list[tuple[float, float, float]]] = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way, command in ways.items():
                measured[way].append(_measure(command))
        _print(measured, options)
        print(f"sizes: {_sizes(folder)}")


def _measure(command: list[str]) -> tuple[float, float, float]:
    """Return wall seconds, CPU seconds and the peak memory, GB, of a command."""
    timed = ["/usr/bin/env", "python3", "-c", _WRAPPER, *command]
    ran = subprocess.run(timed, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(ran.stderr)
    seconds, cpu_seconds, kilobytes = ran.stdout.split()[-3:]
    return float(seconds), float(cpu_seconds), int(kilobytes) / 1e6


_WRAPPER = """
import resource, subprocess, sys, time
began = time.monotonic()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
took = time.monotonic() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(took, used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(code)
"""


def _print(
    measured: dict[str, list[tuple[float, float, float]]], options: argparse.Namespace
) -> None:
    print(
        f"{PIXELS} x {PIXELS} x {options.slices} int16, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}, {options.rounds} rounds in turns, medians"
    )
    print(
        f"{'':<20} {'wall s':>7} {'(min-max)':>12} {'ratio':>6} {'CPU s':>6} {'ratio':>6} {'GB':>5}"
    )
    medians = {
        way: [statistics.median(c) for c in zip(*r, strict=True)] for way, r in measured.items()
    }
    plain_wall, plain_cpu, _ = medians["plain"]
    for way, (wall, cpu, _) in medians.items():
        seconds = [one for one, _, _ in measured[way]]
        spread = f"({min(seconds):.1f}-{max(seconds):.1f})"
        peak = max(gigabytes for _, _, gigabytes in measured[way])
        print(
            f"{way:<20} {wall:7.1f} {spread:>12} {wall / plain_wall:6.2f} {cpu:6.1f} "
            f"{cpu / plain_cpu:6.2f} {peak:5.2f}"
        )


def _sizes(folder: Path) -> str:
    return ", ".join(f"{one.name} {one.stat().st_size / 1e6:.0f} MB" for one in folder.glob("*.h5"))


def _write_pelvis(folder: Path, slices: int) -> None:
    """Write two simulated hips in a body with noise as DICOM, and the left femur's mask."""
    hip = next(iter(simulate_cohort(1, 0, SimulationSettings(spacing_mm=SPACING_MM))))
    generator = np.random.default_rng(0)
    shape = (slices, PIXELS, PIXELS)
    h = w = (np.arange(PIXELS) - PIXELS / 2) * SPACING_MM[1]
    body = (h[:, None] / 130) ** 2 + (w[None, :] / 210) ** 2 < 1
    voxels = np.empty(shape, dtype=np.int16)
    for plane in voxels:
        plane[:] = np.where(body, 40, -1000) + 16 * generator.standard_normal(body.shape)
    depth, height, width = hip.volume.voxels.shape
    first_d, first_h, first_w = 0, (PIXELS - height) // 2, 60  # scans end in the shafts
    box = (slice(first_d, first_d + depth), slice(first_h, first_h + height))
    voxels[(*box, slice(first_w, first_w + width))] = hip.volume.voxels
    voxels[(*box, slice(PIXELS - first_w - width, PIXELS - first_w))] = hip.volume.voxels[..., ::-1]
    mask = np.zeros(shape, dtype=bool)
    mask[(*box, slice(first_w, first_w + width))] = hip.femur.voxels
    _write_dicom(folder / "dicom", voxels)
    write_mask(folder / "mask.nii.gz", mask, Geometry.from_spacing(shape, SPACING_MM))


def _write_dicom(folder: Path, voxels: np.ndarray) -> None:
    """Write slices by SimpleITK, on the grid of ``Geometry.from_spacing`` (RAS, axes S, A, R)."""
    folder.mkdir()
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    d_mm, h_mm, w_mm = SPACING_MM
    for number, plane in enumerate(voxels):
        image = sitk.GetImageFromArray(plane[None])
        image.SetSpacing((w_mm, h_mm, d_mm))
        image.SetOrigin((0.0, 0.0, number * d_mm))
        # Columns run to the patient's right and rows forwards: both against DICOM's LPS.
        image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
        tags = {
            "0008|0060": "CT",
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0020|000e": "1.2.826.0.1.3680043.2.1125.1",
            "0020|000d": "1.2.826.0.1.3680043.2.1125.2",
            "0008|0018": f"1.2.826.0.1.3680043.2.1125.3.{number + 1}",
            "0020|0013": str(number + 1),
            "0028|1052": "0",
            "0028|1053": "1",
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{number:04d}.dcm"))
        writer.Execute(image)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slices", type=int, default=300)
    return parser.parse_args()


if __name__ == "__main__":
    main()
