"""Scans to what the cohort figures compare: densities by region, features, noise, voxels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from qctkit.analysis.measures import CORTICAL, MEASURES, PEAK, REGIONS, TRABECULAR, Measured
from qctkit.analysis.noise import Noise, measure_noise
from qctkit.analysis.realism import Appearance
from qctkit.analysis.texture import texture_features
from qctkit.boxes import Box, bounding_box
from qctkit.cohort import Sample
from qctkit.density import CORE_DEPTH_MM, SHELL_DEPTH_MM, band_histogram, measure_density
from qctkit.frame import FemurFrame, locate
from qctkit.geometry import FloatArray, Shape, Triple
from qctkit.predictors.features import (
    CALCAR_FROM_HU,
    CORTEX,
    CORTEX_FROM_HU,
    FEATURES,
    PROXIMAL_FROM_MM,
    PhysicalFeatures,
)
from qctkit.predictors.landmarks import Tissue, landmarks
from qctkit.subject import ATTRIBUTES
from qctkit.view import HIP_VIEW, View, ViewImage, see
from qctkit.volume import Mask
from qctkit.window import DEFAULT_BONE_BAND, BoneBand, Window

BLOCK: Shape = (32, 64, 64)
"""Voxels about the middle of the femur that the network sees: neck, trochanters and part of the
head on a grid of 2 x 1 x 1 mm."""

MARGIN_MM = 13.0
NECK_HALF_MM = 8.0
HEAD_BEYOND = 1.15
"""The neck reaches so far to each side of its narrowest place; the head is what lies within 1.15 of
its radius, above the neck [A]."""

NECK_RADIUS_MM = 28.0

CORTEX_FROM = {
    "neck_superior": CORTEX_FROM_HU,
    "neck_inferior": CALCAR_FROM_HU,
    "shaft": CORTEX_FROM_HU,
}
"""Above what the mass of the cortex at each site counts, as in the physical features."""

LEAST_CORTEX_HU = 100.0
FEWEST_VOXELS = 20


@dataclass(frozen=True, eq=False)
class Seen:
    """What was measured of one sample.

    Attributes:
        sample: without its voxels' bulk: ids, subject, source.
        figures: by name of ``MEASURES``; what the scan does not show is missing.
        histogram: ``(B,)`` of the bone band and about it.
        physical, texture: features, None where only density was asked.
        noise: None likewise.
        block: ``(d, h, w)`` int16 HU, None likewise.
    """

    sample_id: str
    source_id: str
    group: str
    attributes: dict[str, float]
    figures: dict[str, float]
    histogram: FloatArray
    physical: FloatArray
    texture: FloatArray | None = None
    noise: Noise | None = None
    block: NDArray[np.int16] | None = None


def measure_sample(
    sample: Sample, window: Window, band: BoneBand = DEFAULT_BONE_BAND, *, look: bool
) -> Seen:
    """Return what is measured of a sample; ``look`` adds what only real-or-fake figures need."""
    frame = locate(sample.femur, sample.volume.geometry)
    image = see(sample.volume, sample.femur, frame, HIP_VIEW)
    seen = torch.from_numpy(np.stack([image.hu, image.femur]))[None]
    with torch.no_grad():
        physical = PhysicalFeatures(HIP_VIEW)(seen)[0].double().numpy()
    made = sample.synthesis
    limits = band.limits_hu(window)
    inside = sample.volume.voxels[sample.femur.voxels]
    _, histogram = band_histogram(inside.astype(np.float64), limits)
    box, depth_mm = signed_depth(sample.femur.voxels, sample.volume.spacing_mm)
    figures = {
        **_whole(sample, window, band),
        **_regional(sample, frame, image, box, depth_mm),
        **_cortex(physical),
    }
    return Seen(
        sample_id=sample.sample_id,
        source_id=sample.sample_id if made is None else made.source_sample_id,
        group=sample.subject.subject_id if made is None else made.source_subject_id,
        attributes={name: _or_nan(sample.subject.value(name)) for name in ATTRIBUTES},
        figures=figures,
        histogram=histogram,
        physical=physical,
        texture=texture_features(sample.volume.voxels[box], depth_mm) if look else None,
        noise=measure_noise(sample.volume.voxels) if look else None,
        block=_block(sample, frame) if look else None,
    )


def measured(seen: Sequence[Seen], *, calibrated: bool) -> Measured:
    """Return the table of samples; mg/cm3 only where every scan is calibrated."""
    names = [one.name for one in MEASURES if calibrated or one.unit != "mg/cm3"]
    return Measured(
        sample_ids=tuple(row.sample_id for row in seen),
        source_ids=tuple(row.source_id for row in seen),
        groups=np.array([row.group for row in seen]),
        attributes={name: np.array([row.attributes[name] for row in seen]) for name in ATTRIBUTES},
        figures={name: np.array([row.figures.get(name, np.nan) for row in seen]) for name in names},
        histograms=np.stack([row.histogram for row in seen]),
    )


def appearance(seen: Sequence[Seen]) -> Appearance:
    """Return how samples look, of those measured with ``look``."""
    looks = [(one.texture, one.noise, one.block) for one in seen]
    textures, noises, blocks = zip(*looks, strict=True)
    return Appearance(
        sample_ids=tuple(row.sample_id for row in seen),
        source_ids=tuple(row.source_id for row in seen),
        groups=np.array([row.group for row in seen]),
        physical=np.stack([row.physical for row in seen]),
        texture=np.stack(textures),
        blocks=np.stack(blocks),
        power=np.stack([one.power for one in noises]),
        autocorrelation=np.stack([one.autocorrelation for one in noises]),
        between_slices=np.array([one.between_slices for one in noises]),
    )


def signed_depth(femur: Mask, spacing_mm: Triple) -> tuple[Box, FloatArray]:
    """Return a box about a femur ``(D, H, W)``, and the depth below its surface there, mm.

    Negative outside; each voxel's distance to the nearest across the surface.
    """
    box = bounding_box(femur, [math.ceil(MARGIN_MM / step) for step in spacing_mm])
    inside = femur[box]
    # The scan's edge is a surface too where the femur is cut off, as it is for measure_density.
    inner = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=spacing_mm)[1:-1, 1:-1, 1:-1]
    outer = ndimage.distance_transform_edt(~inside, sampling=spacing_mm)
    return box, np.asarray(inner - outer)


def _whole(sample: Sample, window: Window, band: BoneBand) -> dict[str, float]:
    found = measure_density(sample.volume, sample.femur, window, band)
    litres = float(sample.femur.voxels.sum()) * sample.volume.geometry.voxel_volume_mm3
    figures = {
        "trabecular_hu": found.trabecular_hu,
        "cortical_hu": found.cortical_hu,
        "bone_band_share": found.bone_band_share,
        "volume_cm3": litres / 1000.0,
    }
    if found.bone_band_peak_hu is not None:
        figures[PEAK] = found.bone_band_peak_hu
    line = sample.volume.calibration
    if line is not None:
        for name in (one for one in (TRABECULAR, CORTICAL, PEAK) if one in figures):
            density = line.density_mg_cm3(np.array([figures[name]]))
            figures[f"{name.removesuffix('_hu')}_mg_cm3"] = float(density[0])
    return figures


def _cortex(physical: FloatArray) -> dict[str, float]:
    """Return cortical thickness, mm: cortical mass per surface over the density of dense cortex.

    Blur moves mass about but keeps it, so that cortices thinner than the scanner's blur are not
    overstated as by a threshold (cortical mass surface density, Treece et al. 2010, 2012).
    """
    value = {
        name: float(np.exp(one))
        for name, one in zip(FEATURES, physical, strict=True)
        if name in CORTEX
    }
    dense = value["cortex_peak_log_hu"]
    return {
        f"cortical_thickness_{site}_mm": value[f"cortex_{site}_log_hu_mm"]
        / max(dense - from_hu, LEAST_CORTEX_HU)
        for site, from_hu in CORTEX_FROM.items()
    }


def _regional(
    sample: Sample,
    frame: FemurFrame,
    image: ViewImage,
    box: Box,
    depth_mm: FloatArray,
) -> dict[str, float]:
    inside = sample.femur.voxels[box]
    depth = depth_mm[inside]
    hu = sample.volume.voxels[box][inside].astype(np.float64)
    start = np.array([one.start for one in box])
    points = frame.from_world(sample.volume.geometry.to_world(np.argwhere(inside) + start))
    cm3 = sample.volume.geometry.voxel_volume_mm3 / 1000.0
    found = {}
    for name, region in zip(REGIONS, _regions(points, image), strict=True):
        found[f"volume_{name}_cm3"] = float(region.sum()) * cm3
        for kind, layer in (
            ("trabecular", depth >= CORE_DEPTH_MM),
            ("cortical", depth <= SHELL_DEPTH_MM),
        ):
            if (region & layer).sum() >= FEWEST_VOXELS:
                found[f"{kind}_{name}_hu"] = float(hu[region & layer].mean())
    return found


def _regions(points_mm: FloatArray, image: ViewImage) -> tuple[NDArray[np.bool_], ...]:
    """Return which points ``(V, 3)`` of a femur lie in head, neck, trochanter and shaft.

    The landmarks are those of the predictors, found on their view; points beyond the view are as
    its border, which lies in the shaft.
    """
    femur = torch.from_numpy(image.femur).flatten()[None]
    positions = torch.from_numpy(HIP_VIEW.positions_mm).float().reshape(-1, 3)
    marks = landmarks(Tissue(femur, positions, HIP_VIEW.shape, HIP_VIEW.cube_mm))
    from_head, along, across = (
        _at(points_mm, one[0].numpy().reshape(HIP_VIEW.shape), HIP_VIEW)
        for one in (marks.from_head, marks.along, marks.across)
    )
    radius = float(torch.sqrt(marks.head_mm2[0] / torch.pi))
    off_neck = along - float(marks.neck_at[0])
    shaft = points_mm[:, 0] <= PROXIMAL_FROM_MM
    neck = ~shaft & (np.abs(off_neck) <= NECK_HALF_MM) & (across <= NECK_RADIUS_MM)
    head = ~shaft & ~neck & (off_neck < 0) & (from_head <= HEAD_BEYOND * radius)
    return head, neck, ~shaft & ~neck & ~head & (off_neck > 0), shaft


def _at(points_mm: FloatArray, values: NDArray[np.float32], view: View) -> FloatArray:
    """Return values ``(D, H, W)`` of a view at frame points ``(V, 3)``."""
    middle = (np.array(view.shape) - 1) / 2
    index = points_mm / np.asarray(view.spacing_mm) + middle
    return np.asarray(ndimage.map_coordinates(values, index.T, order=1, mode="nearest"))


def _block(sample: Sample, frame: FemurFrame) -> NDArray[np.int16]:
    """Return HU about the middle of the femur, medial last and ascending as in a left femur."""
    geometry = sample.volume.geometry
    centre = np.rint(geometry.to_index(frame.to_world(np.zeros(3)))).astype(int)
    low = centre - np.array(BLOCK) // 2
    index = [
        np.clip(np.arange(first, first + count), 0, size - 1)
        for first, count, size in zip(low, BLOCK, geometry.shape, strict=True)
    ]
    block = np.clip(np.rint(sample.volume.voxels[np.ix_(*index)]), -1024, 3071).astype(np.int16)
    # A right femur is mirrored, so that one network sees both sides alike.
    medial = geometry.directions.T @ frame.axes[2]
    return np.ascontiguousarray(block[:, :, ::-1] if medial[2] < 0 else block)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)
