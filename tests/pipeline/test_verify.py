"""Each kind of damage is found by the check that names it, and by no other."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from qctkit.cohort import Sample, Synthesis
from qctkit.pipeline.verify import Verification, verify
from qctkit.progress import Silent
from qctkit.store.encode import Encoded
from qctkit.store.group import read_group
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from qctkit.subject import Sex, Subject

Make = Callable[..., Sample]


def write(path: Path, *samples: Sample) -> Path:
    with CohortWriter(path, {"command": "test"}) as writer:
        for position, sample in enumerate(samples):
            writer.add(position, sample)
    return path


def made_from(source: Sample, **changes: Any) -> Sample:
    """Return a made sample: denser in the femur, aged 80, as a recipe that carries age says."""
    record = {
        "recipe": "denser",
        "carried": ["age_years"],
        "targets": {"sex": None, "age_years": 80.0, "weight_kg": None},
    }
    region = source.femur.voxels
    sample = Sample(
        f"{source.sample_id}-1",
        replace(source.subject, age_years=80.0),
        source.volume.with_voxels(source.volume.voxels + 40 * region),
        source.femur,
        synthesis=Synthesis(source.sample_id, source.subject.subject_id, region, record),
    )
    return replace(sample, **changes)


@pytest.fixture
def real(tmp_path: Path, make: Make) -> Path:
    return write(tmp_path / "real.h5", make("A"), make("B", seed=1))


@pytest.fixture
def made(tmp_path: Path, make: Make) -> Path:
    return write(tmp_path / "made.h5", made_from(make("A")), made_from(make("B", seed=1)))


def look(path: Path, *against: Path, disjoint_from: tuple[Path, ...] = ()) -> Verification:
    return verify(
        CohortFile(path),
        Silent(),
        against=[CohortFile(one) for one in against],
        disjoint_from=[CohortFile(one) for one in disjoint_from],
    )


def problems(found: Verification) -> dict[str, list[str]]:
    return {check.name: check.problems for check in found.checks if check.problems}


def rewrite(path: Path, sample_id: str, **attributes: Any) -> None:
    """Change attributes of a sample and state the checksum that then is right."""
    with h5py.File(path, "r+") as file:
        group = file["samples"][sample_id]
        for name, value in attributes.items():
            group.attrs[name] = value
        state_checksum(file, sample_id)


def state_checksum(file: h5py.File, sample_id: str) -> None:
    group = file["samples"][sample_id]
    stored: Encoded = read_group(group)[0]
    group.attrs["sha256"] = stored.checksum()


def test_good_files_pass_every_check(real: Path, made: Path) -> None:
    assert problems(look(real)) == {}
    found = look(made, real)
    assert found.good
    words = {check.name: check.words for check in found.checks}
    assert words["structure"] == "2 samples"
    assert words["sources"] == "2 of 2 made samples compared with their source"


def test_sources_that_are_not_at_hand_are_said_not_to_be_compared(made: Path) -> None:
    found = look(made)
    assert found.good
    assert "0 of 2 made samples compared" in {c.name: c.words for c in found.checks}["sources"]


def test_a_source_in_the_same_file_is_found(tmp_path: Path, make: Make) -> None:
    source = make("A")
    found = look(write(tmp_path / "c.h5", source, made_from(source)))
    assert found.good
    assert "1 of 1" in {check.name: check.words for check in found.checks}["sources"]


def test_all_problems_are_told(real: Path) -> None:
    with h5py.File(real, "r+") as file:
        for sample_id in ("A", "B"):
            file["samples"][sample_id]["volume"][0, 0, 0] += 1
    assert [line[0] for line in problems(look(real))["checksums"]] == ["A", "B"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: f["samples/A"].attrs.__setitem__("name", "x"), "@name is not of this format"),
        (lambda f: f["samples/A"].attrs.pop("sex"), "only some of @sex, @sex_origin"),
        (lambda f: f["samples/A"].attrs.__setitem__("age_years", 70), "is int64, not float64"),
        (lambda f: f["samples/A"].create_dataset("x", data=[1]), "x is not of this format"),
        (lambda f: f["samples/A"].pop("truth"), "truth is missing"),
        (lambda f: f["samples"].pop("A"), "/samples: A is missing"),
        (lambda f: f["samples"].create_group("C"), "/samples: C is not of this format"),
        (lambda f: f.attrs.pop("qctkit_version"), "attributes of /: qctkit_version is missing"),
        (lambda f: f.create_group("notes"), "/: notes is not of this format"),
        (lambda f: f.__setitem__("samples/C", h5py.SoftLink("/run")), "/samples/C is a link"),
    ],
)
def test_anything_more_less_or_other_than_the_format_is_found(
    real: Path, damage: Callable[[h5py.File], object], words: str
) -> None:
    with h5py.File(real, "r+") as file:
        damage(file)
    assert any(words in line for line in problems(look(real))["structure"])


def test_voxels_of_another_type_are_found(real: Path) -> None:
    with h5py.File(real, "r+") as file:
        voxels = file["samples/A/volume"][()].astype(np.float64)
        del file["samples/A/volume"]
        file["samples/A/volume"] = voxels
        state_checksum(file, "A")
    assert "is float64, not int16 or float32" in problems(look(real))["structure"][0]


def test_a_voxel_that_is_not_finite_is_found(real: Path) -> None:
    with h5py.File(real, "r+") as file:
        voxels = file["samples/A/volume"][()].astype(np.float32)
        voxels[3, 4, 5] = np.nan
        del file["samples/A/volume"]
        file["samples/A/volume"] = voxels
        state_checksum(file, "A")
    assert problems(look(real))["images"] == ["A: 1 voxels are NaN or infinite"]


@pytest.mark.parametrize(
    ("value", "words"), [(0, "the mask is empty"), (2, "values other than 0 and 1")]
)
def test_a_mask_that_is_empty_or_not_0_and_1_is_found(real: Path, value: int, words: str) -> None:
    with h5py.File(real, "r+") as file:
        file["samples/A/mask"][...] = value
        state_checksum(file, "A")
    assert [words in line for line in problems(look(real))["images"]] == [True]


def test_a_mask_of_another_shape_is_found(real: Path) -> None:
    with h5py.File(real, "r+") as file:
        del file["samples/A/mask"]
        file["samples/A/mask"] = np.ones((2, 2, 2), np.uint8)
        state_checksum(file, "A")
    assert "the mask has shape (2, 2, 2)" in problems(look(real))["images"][0]


def test_a_spacing_that_is_not_the_affine_s_is_found(real: Path) -> None:
    rewrite(real, "A", spacing_mm=np.array([3.0, 3.0, 3.001]))
    found = problems(look(real))
    assert found["geometry"] == ["A: spacing_mm is not the spacing of the affine"]
    assert found["table"] == ["A: the table says otherwise in sha256"]


def test_a_scale_that_the_unit_and_calibration_do_not_say_is_found(real: Path) -> None:
    rewrite(real, "A", scale="mg/cm3 HA")
    found = problems(look(real))
    assert found["structure"] == [
        "A: scale is not what its unit and calibration say, HU (uncalibrated)"
    ]


def test_a_sheared_affine_is_found(real: Path) -> None:
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[0, 1] = 1.0
    rewrite(real, "A", affine=affine)
    assert "not at right angles" in problems(look(real))["geometry"][0]


def test_a_label_changed_with_its_checksum_is_found(real: Path) -> None:
    rewrite(real, "A", age_years=71.0)
    found = problems(look(real))
    assert found["table"] == ["A: the table says otherwise in age_years, sha256"]
    assert found["fingerprint"] == ["it is not that of these samples in this order"]


def test_a_voxel_outside_the_region_is_found(tmp_path: Path, real: Path, make: Make) -> None:
    sample = made_from(make("A"))
    voxels = sample.volume.voxels.copy()
    voxels[0, 0, 0] += 500
    path = write(tmp_path / "made.h5", replace(sample, volume=sample.volume.with_voxels(voxels)))
    assert problems(look(path, real)) == {
        "sources": [
            "A-1, made from A: 1 voxels outside the region differ, the first at "
            "(d, h, w) = (0, 0, 0)"
        ]
    }


def test_a_source_that_is_nowhere_is_found(tmp_path: Path, real: Path, make: Make) -> None:
    path = write(tmp_path / "made.h5", made_from(make("C")))
    assert "its source C is in none of the files given" in problems(look(path, real))["sources"][0]


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        (Subject("A", Sex.F, 79.0, 65.0), "age_years is not the target"),
        (Subject("A", Sex.M, 80.0, 65.0), "sex is not the source's"),
        (Subject("A", Sex.F, 80.0, None), "weight_kg is not the source's"),
    ],
)
def test_a_label_that_is_neither_target_nor_source_is_found(
    tmp_path: Path, real: Path, make: Make, subject: Subject, words: str
) -> None:
    path = write(tmp_path / "made.h5", made_from(make("A"), subject=subject))
    found = problems(look(path, real))
    assert set(found) == {"labels"}
    assert words in found["labels"][0]


def test_a_made_sample_of_another_subject_is_a_leak(tmp_path: Path, real: Path, make: Make) -> None:
    path = write(
        tmp_path / "made.h5", made_from(make("A"), subject=Subject("Z", Sex.F, 80.0, 65.0))
    )
    assert "belongs to its source's subject" in problems(look(path, real))["subjects"][0]


def test_a_source_subject_in_another_split_is_a_leak(
    tmp_path: Path, real: Path, made: Path, make: Make
) -> None:
    train = write(tmp_path / "train.h5", make("B", seed=1), make("D"))
    other = write(tmp_path / "other.h5", make("E"))
    assert look(made, real, disjoint_from=(other,)).good
    found = problems(look(made, real, disjoint_from=(train, other)))
    assert found == {"subjects": ["B is also in other file 1"]}


def test_damaged_bytes_are_a_problem_of_their_sample_alone(real: Path) -> None:
    with h5py.File(real) as file:
        chunk = file["samples/A/volume"].id.get_chunk_info(0)
    content = bytearray(real.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 0x55
    real.write_bytes(content)
    found = problems(look(real))
    assert any(line.startswith("A") for lines in found.values() for line in lines)
    assert not any(line.startswith("B") for lines in found.values() for line in lines)


def test_the_record_is_plain_and_holds_no_path(real: Path) -> None:
    record = look(real).record()
    assert record["good"] is True
    assert str(real.parent) not in repr(record)
