"""Pictures of a sample beside its source: slices, difference, bone-band histogram."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from qctkit.calibration import Calibration
from qctkit.cohort import Sample
from qctkit.density import band_histogram
from qctkit.geometry import Geometry
from qctkit.window import DEFAULT_BONE_BAND, Window

SHOWN_HU = (-150.0, 1000.0)
"""Grey range of slices: fat to dense cortex."""

DIFFERENCE_HU = 150.0
"""Colour range of differences."""


def comparison(source: Sample, made: Sample, window: Window) -> Figure:
    """Return source, sample and difference in a coronal and an axial slice, and the histograms."""
    figure = Figure(figsize=(13, 5.4), layout="constrained")
    grid = figure.add_gridspec(2, 4, width_ratios=(1, 1, 1, 1.3))
    centre = [int(np.median(axis)) for axis in np.nonzero(source.femur.voxels)]
    scale = source.volume.scale_label
    figure.suptitle(source.volume.scale_in_words, fontsize=9)
    for row, (axis, name) in enumerate(((1, "coronal"), (0, "axial"))):
        at = _widest(source.femur.voxels, axis) if axis == 0 else centre[axis]
        planes = [np.take(one.volume.voxels, at, axis) for one in (source, made)]
        outline = np.take(source.femur.voxels, at, axis)
        titles = (f"source, {name}", "sample", "difference")
        images = (planes[0], planes[1], planes[1].astype(np.float32) - planes[0])
        for column, (title, image) in enumerate(zip(titles, images, strict=True)):
            axes = figure.add_subplot(grid[row, column])
            shown = _draw(axes, image, source.volume.geometry, axis, difference=column == 2)
            if column == 0:
                axes.contour(outline, levels=[0.5], colors="#ffb000", linewidths=0.8)
            axes.set_title(title, fontsize=10)
            figure.colorbar(shown, ax=axes, shrink=0.8).set_label(scale, fontsize=7)
    _histograms(figure.add_subplot(grid[:, 3]), source, made, window)
    return figure


def mask_overview(samples: Sequence[Sample]) -> Figure:
    """Return one coronal and one axial slice of each source with its mask drawn."""
    figure = Figure(figsize=(2.6 * len(samples), 5), layout="constrained")
    for column, sample in enumerate(samples):
        for row, axis in enumerate((1, 0)):
            at = _widest(sample.femur.voxels, axis)
            axes = figure.add_subplot(2, len(samples), row * len(samples) + column + 1)
            plane = np.take(sample.volume.voxels, at, axis)
            _draw(axes, plane, sample.volume.geometry, axis, difference=False)
            outline = np.take(sample.femur.voxels, at, axis)
            axes.contour(outline, levels=[0.5], colors="#ffb000", linewidths=1.0)
        titles = (sample.sample_id, str(sample.femur.origin), sample.volume.scale_label)
        figure.axes[-2].set_title("\n".join(titles), fontsize=8)
    return figure


def as_png(figure: Figure) -> str:
    """Return a figure as a data address that a self-contained page can hold."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=90, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _draw(
    axes: Any, image: NDArray[Any], geometry: Geometry, axis: int, *, difference: bool
) -> Any:
    """Draw a plane across an array axis as radiologists do: the patient's right on the left.

    Up is superior, or anterior in an axial plane, whichever way the array runs.
    """
    limits = (-DIFFERENCE_HU, DIFFERENCE_HU) if difference else SHOWN_HU
    rows = 0 if axis == 1 else 1
    upward = geometry.directions[2 if rows == 0 else 1, rows] > 0
    shown = axes.imshow(
        image,
        cmap="RdBu_r" if difference else "gray",
        vmin=limits[0],
        vmax=limits[1],
        aspect=geometry.spacing_mm[rows] / geometry.spacing_mm[2],
        origin="lower" if upward else "upper",
    )
    if geometry.directions[0, 2] > 0:
        axes.invert_xaxis()
    axes.set_xticks([])
    axes.set_yticks([])
    return shown


def _histograms(axes: Any, source: Sample, made: Sample, window: Window) -> None:
    limits = DEFAULT_BONE_BAND.limits_hu(window)
    inside = source.femur.voxels
    lines = ((source, "source", "--", "#222222"), (made, "sample", "-", "#c02020"))
    for sample, label, style, colour in lines:
        values = sample.volume.voxels[inside].astype(np.float64)
        centres, share = band_histogram(values, limits)
        shown = (centres >= limits[0]) & (centres <= limits[1])
        axes.plot(centres[shown], 100 * share[shown], style, label=label, color=colour)
    band = f"bone band {DEFAULT_BONE_BAND.low} to {DEFAULT_BONE_BAND.high} of the window"
    axes.set_xlabel(f"{source.volume.scale_label}\n{band}")
    axes.set_ylabel("share of the femur's voxels per 10 HU, %")
    axes.set_title("bone-band histogram", fontsize=10)
    axes.legend()
    if source.volume.calibration is not None:
        _density_axis(axes, source.volume.calibration)


def _density_axis(axes: Any, line: Calibration) -> None:
    """Show the density that each HU stands for along the top."""
    slope, intercept = line.slope_mg_cm3_per_hu, line.intercept_mg_cm3
    density = axes.secondary_xaxis(
        "top",
        functions=(lambda hu: slope * hu + intercept, lambda mg: (mg - intercept) / slope),
    )
    density.set_xlabel(f"{'approximate ' if line.is_approximate else ''}{line.unit}")


def _widest(mask: NDArray[np.bool_], axis: int) -> int:
    """Return the slice along an axis that holds most of the femur."""
    others = tuple(one for one in range(3) if one != axis)
    return int(mask.sum(axis=others).argmax())
