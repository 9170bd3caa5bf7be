from collections.abc import Callable
from pathlib import Path

from qctkit.cohort import MemoryCohort, Sample
from qctkit.exporters.nifti import NiftiExporter

Make = Callable[..., Sample]

SAMPLE_HEADER = (
    "sample_id,subject_id,source_subject_id,source_sample_id,recipe,target_sex,target_age_years,"
    "target_weight_kg,label_sex,label_age_years,label_weight_kg,side,mask_origin,unit,scale,seed"
)
REFUSED_HEADER = (
    "candidate_id,source_subject_id,source_sample_id,recipe,target_sex,target_age_years,"
    "target_weight_kg,stop,reason,validators_failed"
)


def lines(cohort: MemoryCohort, folder: Path, name: str) -> list[str]:
    NiftiExporter().export(cohort, folder, overwrite=False)
    return (folder / name).read_bytes().decode("utf-8").splitlines()


def test_real_sample_is_its_own_source(sample: Make, tmp_path: Path):
    assert lines(MemoryCohort((sample(),)), tmp_path, "samples.csv") == [
        SAMPLE_HEADER,
        "A,A,A,,,,,,F,69,62.5,left,segmented (approximate),HU,HU (uncalibrated),",
    ]


def test_made_sample_states_source_targets_and_labels(sample: Make, record, tmp_path: Path):
    assert lines(MemoryCohort((sample(record=record),)), tmp_path, "samples.csv") == [
        SAMPLE_HEADER,
        "A,A,SRC,SRC-left,femur-density,,80,55.25,F,69,62.5,left,"
        "segmented (approximate),HU,HU (uncalibrated),7",
    ]


def test_refused_candidates_are_listed_with_what_failed(with_refused, sample, record, tmp_path):
    assert lines(with_refused((sample(record=record),)), tmp_path, "refused.csv") == [
        REFUSED_HEADER,
        'SRC-c3,SRC,SRC-left,femur-density,M,,90,stalled,"structure changed, and more",'
        "structure;realism",
    ]


def test_refused_are_listed_when_nothing_was_accepted(with_refused, tmp_path: Path):
    assert len(lines(with_refused(()), tmp_path, "refused.csv")) == 2
    assert (tmp_path / "samples.csv").read_text() == SAMPLE_HEADER + "\n"
