"""What must hold of all scans together before they are one cohort."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qctkit.calibration import Calibration, one_material
from qctkit.errors import InputError, ScanError
from qctkit.pipeline.ingest_scan import ScanOptions
from qctkit.subject import Sex
from qctkit.units import Unit

NUMBERED = re.compile(r"subject-\d+")
"""Ids that mean something in one run only."""


@dataclass(frozen=True)
class Taken:
    """How one scan came out: its samples and whose they are, or a refusal.

    Attributes:
        sample_ids, scales: of the samples, with unit and calibration of each.
        subject_id, sex: whose they are.
        is_whole: whether it was a sample of a cohort already.
        voxels_sha256: digest of the scan's voxels; empty where they were not read from a scan.
        said: what the user should know.
        refusal: why it cannot be used; empty where it can.
    """

    sample_ids: tuple[str, ...] = ()
    scales: tuple[tuple[Unit, Calibration | None], ...] = ()
    subject_id: str = ""
    sex: Sex | None = None
    is_whole: bool = False
    voxels_sha256: str = ""
    said: tuple[str, ...] = ()
    refusal: str = ""


def check_scans(taken: Sequence[Taken], options: ScanOptions, *, skip_refused: bool) -> None:
    """Refuse scans that cannot be used, or that mix up samples, people or densities.

    Raises:
        InputError: with all refusals, or the first thing that is mixed up.
    """
    _check_refusals(taken, skip_refused=skip_refused)
    _check_sample_ids(taken)
    _check_sexes(taken)
    _check_same_scan(taken)
    calibrated = any(line for one in taken for _, line in one.scales)
    if options.convert_to is not None and not calibrated:
        raise InputError(
            "--convert-material is given, but no scan is calibrated; calibrate them too"
        )


def check_numbered(subject_ids: Mapping[int, Sequence[str]]) -> None:
    """Refuse cohorts whose subjects were numbered apart, given their ids by SOURCE.

    Raises:
        InputError: one number stands in two of them.
    """
    homes: dict[str, set[int]] = {}
    for source, ids in subject_ids.items():
        for subject_id in ids:
            if NUMBERED.fullmatch(subject_id):
                homes.setdefault(subject_id, set()).add(source)
    shared = [subject_id for subject_id, sources in homes.items() if len(sources) > 1]
    if shared:
        raise InputError(
            f"{shared[0]} is in two of the cohorts given, each of which numbered its own subjects, "
            "so that they may be two people; ingest the scans in one run, by a --table with ids of "
            "yours, or with a --key-file"
        )


def cohort_scale(taken: Sequence[Taken]) -> str:
    """Return the scale of the cohort in words.

    Raises:
        InputError: scans are in different units, or calibrated to different materials.
    """
    scales = {
        sample_id: scale
        for one in taken
        for sample_id, scale in zip(one.sample_ids, one.scales, strict=True)
    }
    return one_material(scales).in_words


def _check_refusals(taken: Sequence[Taken], *, skip_refused: bool) -> None:
    refusals = [one.refusal for one in taken if one.refusal]
    if len(taken) == 1 and refusals:
        raise ScanError(refusals[0])
    told = "".join(f"\n- {refusal}" for refusal in refusals)
    if len(refusals) == len(taken):
        raise ScanError(f"none of the {len(taken)} scans can be used:{told}")
    if refusals and not skip_refused:
        raise ScanError(
            f"{len(refusals)} of {len(taken)} scans cannot be used:{told}\nMend or remove them, or "
            "give --skip-refused to go on without"
        )


def _check_sample_ids(taken: Sequence[Taken]) -> None:
    ids = Counter(sample_id for one in taken for sample_id in one.sample_ids)
    twice = [sample_id for sample_id, count in ids.items() if count > 1]
    if twice:
        raise InputError(
            f"two samples would be called {twice[0]}; name the subjects in a --table, with a "
            "'sample_id' where needed"
        )


def _check_sexes(taken: Sequence[Taken]) -> None:
    """Refuse one id of both sexes; a made sample's label may differ from its source's."""
    sexes: dict[str, set[Sex]] = {}
    for one in taken:
        if one.sex is not None and not one.is_whole:
            sexes.setdefault(one.subject_id, set()).add(one.sex)
    mixed = [subject_id for subject_id, stated in sexes.items() if len(stated) > 1]
    if mixed:
        raise InputError(
            f"scans of {mixed[0]} state both sexes, so that one patient id stands for several "
            "people here; name the subjects in a --table"
        )


def _check_same_scan(taken: Sequence[Taken]) -> None:
    """Refuse one scan under two subjects, which a split could part."""
    whose: dict[str, str] = {}
    for one in taken:
        if not one.voxels_sha256:
            continue
        first = whose.setdefault(one.voxels_sha256, one.subject_id)
        if first != one.subject_id:
            raise InputError(
                f"the scans of {first} and {one.subject_id} are the same, voxel for voxel; one "
                "person under two ids would leak between splits: keep one, or give both the same "
                "'subject_id' in a --table"
            )
