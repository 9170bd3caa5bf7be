"""What does internal calibration find, and how far is it from a known line?

Finds air, fat and muscle in simulated subjects, whose true line is known, and in the scans (NIfTI)
that are given, and prints the peaks, the lines by each set of reference densities, and for
simulated subjects the error of the density of trabecular (100 HU) and of dense bone (500 HU).

    python benchmarks/internal_calibration.py [--subjects 20] [--seed 0] [SCAN.nii.gz ...]
"""

import argparse
from pathlib import Path

import numpy as np

from qctkit.calibration import Calibration
from qctkit.phantoms.tissues import REFERENCES, Tissues, find_tissues, from_tissues
from qctkit.readers.nifti import read_nifti
from qctkit.simulate import simulate_cohort
from qctkit.simulate.soft_tissue import AIR_HU, FAT_HU, MUSCLE_HU

SHOWN_HU = (100.0, 500.0)


def main() -> None:
    """Print the tables."""
    options = _options()
    print("scan                          air   fat   muscle  lines")
    for path in options.scans:
        scan = read_nifti(path)
        _show(path.name.removesuffix(".nii.gz"), find_tissues(scan.volume))
    found: list[tuple[Tissues, Calibration]] = []
    for sample in simulate_cohort(options.subjects, options.seed):
        assert sample.volume.calibration is not None
        found.append((find_tissues(sample.volume), sample.volume.calibration))
    _simulated(found)


def _show(name: str, tissues: Tissues) -> None:
    lines = (from_tissues(tissues, one) for one in REFERENCES)
    fits = "; ".join(f"{one.line} (residual {one.residual_mg_cm3:.1f})" for one in lines)
    print(
        f"{name:<28} {tissues.air_hu:6.0f} {tissues.fat_hu:5.0f} {tissues.muscle_hu:6.0f}    {fits}"
    )


def _simulated(found: list[tuple[Tissues, Calibration]]) -> None:
    peaks = np.array([(one.air_hu, one.fat_hu, one.muscle_hu) for one, _ in found])
    wrong = peaks - (AIR_HU, FAT_HU, MUSCLE_HU)
    print(f"\n{len(found)} simulated subjects: peak minus truth, HU (mean, SD)")
    for name, column in zip(("air", "fat", "muscle"), wrong.T, strict=True):
        print(f"  {name:<8}{column.mean():6.1f} {column.std(ddof=1):5.1f}")
    for reference in REFERENCES:
        for hu in SHOWN_HU:
            at = np.array(hu)
            lines = [(from_tissues(tissues, reference), true) for tissues, true in found]
            ours = np.array([float(line.density_mg_cm3(at)) for line, _ in lines])
            true = float(lines[0][1].density_mg_cm3(at))
            print(
                f"  {reference.name} at {hu:.0f} HU: {ours.mean():.0f} (SD {ours.std(ddof=1):.1f}) "
                f"mg/cm3 {reference.material}, the scanner's line {true:.0f} mg/cm3 "
                f"{lines[0][1].material}"
            )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scans", nargs="*", type=Path)
    parser.add_argument("--subjects", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
