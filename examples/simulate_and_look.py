"""Simulate two subjects, and the first one again at another age; print and picture the densities.

    python examples/simulate_and_look.py --output simulated.png

The counterfactual is the same individual, shape and scan noise, with the bone density of another
age: what a perfect density edit would make. Nothing here needs a file of data.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # draws to files, needs no screen

import matplotlib.pyplot as plt
import numpy as np

from qctkit.density import measure_density
from qctkit.simulate import (
    SimulationSettings,
    counterfactual,
    draw_person,
    simulate_counterfactual,
    simulate_person,
)

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--age-years", type=float, default=85.0, help="age of the counterfactual")
parser.add_argument("--spacing-mm", type=float, nargs=3, default=(2.0, 1.0, 1.0), metavar="MM")
parser.add_argument("--output", type=Path, default=Path("simulated.png"))
options = parser.parse_args()

settings = SimulationSettings(spacing_mm=tuple(options.spacing_mm))  # along (D, H, W)
first, second = draw_person(options.seed, 0), draw_person(options.seed, 1)
older = counterfactual(first, age_years=options.age_years)
samples = [
    simulate_person(first, settings),
    simulate_person(second, settings),
    simulate_counterfactual(first, older, settings, density_only=True),
]

print("                        sex   age  weight  trabecular HU  cortical HU  true neck mg/cm3")
for sample in samples:
    subject, figures = sample.subject, measure_density(sample.volume, sample.femur)
    print(
        f"{sample.sample_id:24}{subject.sex:3}{subject.age_years:6.1f}{subject.weight_kg:8.1f}"
        f"{figures.trabecular_hu:15.0f}{figures.cortical_hu:13.0f}"
        f"{sample.truth['trabecular_density_neck_mg_cm3']:18.0f}"
    )

# Same noise, same shape: the difference of the two scans is the change of bone and nothing else.
before, after = samples[0].volume.voxels, samples[2].volume.voxels  # (D, H, W) int16, HU
change = after.astype(np.float32) - before  # (D, H, W) HU
femur = samples[0].femur.voxels  # (D, H, W) bool
print(f"change of {samples[0].sample_id}: mean {change[femur].mean():+.0f} HU in the femur")
print(f"                    largest {np.abs(change[~femur]).max():.0f} HU outside it (blur)")

# The coronal slice with most femur in it: d runs up, w to the patient's right.
row = int(np.argmax(femur.sum(axis=(0, 2))))  # (D, H, W) -> (H,) -> index along H
depth_mm, _, width_mm = settings.spacing_mm
panels = [
    *((s.sample_id, s.volume.voxels[:, row], "gray", (-200, 1200)) for s in samples),
    ("difference, HU", change[:, row], "coolwarm", (-300, 300)),
]  # each picture (D, W)
figure, axes = plt.subplots(1, 4, figsize=(16, 4), layout="constrained")
for axis, (title, picture, colours, (low, high)) in zip(axes, panels, strict=True):
    shown = axis.imshow(
        picture, cmap=colours, vmin=low, vmax=high, origin="lower", aspect=depth_mm / width_mm
    )
    axis.set(title=title, xticks=[], yticks=[])
    figure.colorbar(shown, ax=axis, shrink=0.7)
figure.savefig(options.output, dpi=100)
print(f"picture: {options.output}")
