"""One scan to samples: read, filled in from the header, its femora found, cropped and mirrored.

This is what `qctkit ingest` does in each of its processes.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

import numpy as np

from qctkit.cohort import FemurMask, MaskOrigin, Sample, Side
from qctkit.contracts import Scan
from qctkit.errors import InputError, ScanError, SegmentationError
from qctkit.geometry import Geometry
from qctkit.phantoms.choice import CalibrationChoice
from qctkit.pipeline.calibrate import calibrate
from qctkit.placement import Placement, crop_femur, mirror
from qctkit.readers.masks import read_masks
from qctkit.segmentation import femur_side, segment_femora
from qctkit.subject import CORE, Origin, Subject
from qctkit.units import Material
from qctkit.volume import Volume

OTHER_HIP_MM = 150.0
"""Inwards of one femoral head, the middle of the other one lies about so far away: heads are 48 mm
wide and their centres 160 to 200 mm apart."""


class SideChoice(StrEnum):
    """Which femora become samples when ``--side`` is given."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"


@dataclass(frozen=True)
class ScanOptions:
    """What is done with every scan.

    Attributes:
        side: crop these femora where both hips are in view, each to its own sample.
        mirror_to: mirror femora of the other side to this one.
        convert_to: reference material to which calibrations are converted.
        k2hpo4_over_ha: factor for that; without it Goodsitt's for the tube voltage.
    """

    side: SideChoice | None = None
    mirror_to: Side | None = None
    convert_to: Material | None = None
    k2hpo4_over_ha: float | None = None


@dataclass(frozen=True, eq=False)
class Entry:
    """A scan to take in.

    Attributes:
        load: reads the scan; it can be pickled.
        subject: whose it is, with what the table says of the subject.
        sample_id: what its sample will be called.
        is_whole: whether it is a sample of a cohort already, which is taken as it is.
        path: the scan of a table's row.
        place: where the scan is, for messages.
        where: line of the table; empty where there is no table.
        mask, mask_label: the user's femur mask, and which of its labels is the femur.
        calibration, rods_mask: how the scan is calibrated, and the mask of a phantom's rods.
    """

    load: Callable[[], Scan | Sample]
    subject: Subject
    sample_id: str
    place: str
    where: str = ""
    is_whole: bool = False
    path: Path | None = None
    mask: Path | None = None
    mask_label: str | None = None
    calibration: CalibrationChoice = field(default_factory=CalibrationChoice)
    rods_mask: Path | None = None


def samples_of(entry: Entry, options: ScanOptions) -> tuple[list[Sample], list[str]]:
    """Return the samples of one scan, and what the user should know of it.

    Raises:
        InputError: the scan, its mask or its femora cannot be used.
    """
    loaded = entry.load()
    try:
        if isinstance(loaded, Sample):
            return _as_it_is(loaded, entry, options), []
        return _samples_of_scan(loaded, entry, options)
    except InputError as error:
        raise type(error)(f"{entry.place}: {error}") from error


def _samples_of_scan(
    loaded: Scan, entry: Entry, options: ScanOptions
) -> tuple[list[Sample], list[str]]:
    said = [*loaded.notes, *_contradictions(entry.subject, loaded)]
    subject = _with_header(entry.subject, loaded)
    volume = _calibrated(loaded, entry, options)
    femora = _femora(entry, volume, said)
    digest = hashlib.sha256(np.ascontiguousarray(volume.voxels).data).hexdigest()
    samples = []
    for femur, doubts in _chosen(femora, options.side, said):
        both = options.side is SideChoice.BOTH
        sample_id = f"{entry.sample_id}-{femur.side}" if both else entry.sample_id
        crop = options.side is not None and shows_other_hip(femur, volume.geometry)
        cut, mask, placement = _placed(volume, femur, options.mirror_to, crop=crop)
        said.extend(f"{femur.side} femur: {doubt}" for doubt in doubts)
        provenance = {
            "source": loaded.description,
            "source_voxels_sha256": digest,
            "placement": placement.record(),
            "mask_doubts": list(doubts),
            "tube_voltage_kvp": loaded.tube_voltage_kvp,
        }
        samples.append(Sample(sample_id, subject, cut, mask, provenance))
    return samples, said


def _as_it_is(sample: Sample, entry: Entry, options: ScanOptions) -> list[Sample]:
    """Return a sample of an existing cohort, whole; only its line may be converted."""
    if entry.where or entry.calibration.is_made or options.side or options.mirror_to:
        raise InputError(
            f"sample {sample.sample_id} is in a cohort already and is taken as it is; give the "
            "cohort as SOURCE, without --side, --mirror-to or a calibration"
        )
    line = sample.volume.calibration
    if line is None or options.convert_to is None:
        return [sample]
    converted = line.converted_to(options.convert_to, options.k2hpo4_over_ha)
    return [replace(sample, volume=replace(sample.volume, calibration=converted))]


def _calibrated(scan: Scan, entry: Entry, options: ScanOptions) -> Volume:
    line = calibrate(
        entry.calibration,
        scan.volume,
        rods_mask=entry.rods_mask,
        scanned_kvp=scan.tube_voltage_kvp,
        convert_to=options.convert_to,
        k2hpo4_over_ha=options.k2hpo4_over_ha,
    )
    return scan.volume if line is None else replace(scan.volume, calibration=line)


def _with_header(subject: Subject, scan: Scan) -> Subject:
    """Fill what the table left open from the header."""
    from_header = {
        name: value
        for name in CORE
        if getattr(subject, name) is None and (value := getattr(scan, name)) is not None
    }
    origins = {**subject.origins, **dict.fromkeys(from_header, Origin.HEADER)}
    return replace(subject, **from_header, origins=origins)


def _contradictions(subject: Subject, scan: Scan) -> list[str]:
    """Say where the table and the header disagree, since the wrong scan may be in the row."""
    said = []
    if None not in (subject.sex, scan.sex) and subject.sex is not scan.sex:
        said.append(f"the table says {subject.sex}, the header {scan.sex}; the table is used")
    return said


Doubted: TypeAlias = tuple[FemurMask, tuple[str, ...]]
"""A femur, and what is doubtful about its mask, a sentence each."""


def _femora(entry: Entry, volume: Volume, said: list[str]) -> list[Doubted]:
    """Return the femora that can be used, the most complete one first."""
    found = _segmented(volume, said) if entry.mask is None else _given(entry, volume, said)
    return sorted(found, key=lambda one: -int(one[0].voxels.sum()))


def _segmented(volume: Volume, said: list[str]) -> list[Doubted]:
    segmentation = segment_femora(volume)
    said.extend(f"left out: {reason}" for reason in segmentation.left_out)
    return [(femur.mask, femur.doubts) for femur in segmentation.femora]


def _given(entry: Entry, volume: Volume, said: list[str]) -> list[Doubted]:
    try:
        masks = read_masks(Path(entry.mask or ""), volume.geometry, entry.mask_label)
    except InputError as error:
        raise ScanError(f"column 'mask': {error}") from error
    said.extend(note for mask in masks for note in mask.notes)
    femora: list[Doubted] = []
    for mask in masks:
        shaped = femur_side(mask.voxels, volume.geometry)
        side = mask.side or shaped
        if side is not shaped:
            said.append(
                f"the mask's name says {side}, its shape {shaped}; the name is used, look at it"
            )
        femora.append((FemurMask(mask.voxels, side, MaskOrigin.GIVEN), ()))
    return femora


def _chosen(femora: list[Doubted], side: SideChoice | None, said: list[str]) -> list[Doubted]:
    """Return the femora that become samples."""
    sides = [femur.side for femur, _ in femora]
    if side is None:
        if len(femora) > 1:
            said.append(
                f"both femora are in view; the {sides[0]} one is taken. Give --side left, right or "
                "both to choose"
            )
        return femora[:1]
    if side is SideChoice.BOTH:
        if len(femora) == 1:
            said.append(f"only the {sides[0]} femur can be used")
        return sorted(femora, key=lambda one: one[0].side)
    of_side = [one for one in femora if one[0].side.value == side.value]
    if not of_side:
        raise SegmentationError(f"no {side} femur was found or given; try the other side")
    return of_side


def shows_other_hip(femur: FemurMask, geometry: Geometry) -> bool:
    """Whether the scan reaches so far beyond a femur that the other hip lies in it."""
    mask_x_mm = geometry.to_world(np.argwhere(femur.voxels))[:, 0]
    ends = [(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    scan_x_mm = geometry.to_world(np.array(ends) * (np.array(geometry.shape) - 1))[:, 0]
    # +x is the patient's right, where the other hip of a left femur lies.
    if femur.side is Side.LEFT:
        return bool(scan_x_mm.max() - mask_x_mm.max() > OTHER_HIP_MM)
    return bool(mask_x_mm.min() - scan_x_mm.min() > OTHER_HIP_MM)


def _placed(
    volume: Volume, femur: FemurMask, mirror_to: Side | None, *, crop: bool
) -> tuple[Volume, FemurMask, Placement]:
    placement = Placement.whole(volume)
    if crop:
        volume, femur, placement = crop_femur(volume, femur)
    if mirror_to is not None and femur.side is not mirror_to:
        volume, femur, placement = mirror(volume, femur, placement)
    return volume, femur, placement
