from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from qctkit import schema
from qctkit.calibration import Calibration
from qctkit.cohort import FemurMask, MaskOrigin, Sample, Side
from qctkit.geometry import Geometry
from qctkit.store.encode import encode
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from qctkit.subject import Origin, Sex, Subject
from qctkit.units import Material, Unit
from qctkit.volume import Volume
from qctkit.window import Window

RUN = {"command": "test", "seed": 7}


def _through(
    path: Path, *samples: Sample, refused: tuple[dict[str, object], ...] = ()
) -> CohortFile:
    with CohortWriter(path, RUN) as writer:
        for position, sample in enumerate(samples):
            writer.add(position, sample)
        for position, record in enumerate(refused, start=len(samples)):
            writer.refuse(position, record)
    return CohortFile(path)


def _assert_equal(found: Sample, wanted: Sample) -> None:
    assert found.sample_id == wanted.sample_id
    assert found.subject == wanted.subject
    assert (found.provenance, found.truth) == (wanted.provenance, wanted.truth)
    assert (found.femur.side, found.femur.origin) == (wanted.femur.side, wanted.femur.origin)
    assert (found.volume.unit, found.volume.calibration) == (
        wanted.volume.unit,
        wanted.volume.calibration,
    )
    assert found.volume.voxels.dtype == wanted.volume.voxels.dtype
    np.testing.assert_array_equal(found.volume.voxels, wanted.volume.voxels)
    np.testing.assert_array_equal(found.femur.voxels, wanted.femur.voxels)
    np.testing.assert_array_equal(found.volume.geometry.affine, wanted.volume.geometry.affine)


def test_a_real_sample_comes_back_whole(tmp_path: Path, make: Callable[..., Sample]) -> None:
    origins = {"sex": Origin.HEADER, "age_years": Origin.TABLE, "weight_kg": Origin.SIMULATED}
    subject = Subject("S-1", Sex.M, 70.25, 81.125, origins)
    sample = make("S-1-left", subject=subject)
    sample = replace(sample, provenance={"kV": 120, "ü": [1, None]}, truth={"a": 0.1})
    _assert_equal(_through(tmp_path / "c.h5", sample).load("S-1-left"), sample)


def test_what_is_missing_stays_missing(tmp_path: Path, make: Callable[..., Sample]) -> None:
    cohort = _through(tmp_path / "c.h5", make("A", subject=Subject("A")))
    assert cohort.load("A").subject == Subject("A")
    assert cohort.subject("A").age_years is None


def test_a_made_sample_comes_back_whole(tmp_path: Path, make_made: Callable[..., Sample]) -> None:
    sample = make_made()
    found = _through(tmp_path / "c.h5", sample).load("A-1")
    subject = replace(sample.subject, origins=found.subject.origins)
    _assert_equal(found, replace(sample, subject=subject))
    made, wanted = found.synthesis, sample.synthesis
    assert made is not None
    assert wanted is not None
    assert (made.source_sample_id, made.source_subject_id, made.record) == (
        wanted.source_sample_id,
        wanted.source_subject_id,
        wanted.record,
    )
    np.testing.assert_array_equal(made.region, wanted.region)
    assert made.region.dtype == bool
    assert made.parameters["shift_hu"].dtype == np.float32
    np.testing.assert_array_equal(made.parameters["shift_hu"], wanted.parameters["shift_hu"])


@pytest.mark.parametrize("unit", Unit)
def test_float_voxels_an_oblique_affine_and_a_calibration_come_back(
    tmp_path: Path, make: Callable[..., Sample], unit: Unit
) -> None:
    sample = make(side=Side.RIGHT)
    c, s = np.cos(0.3), np.sin(0.3)
    affine = np.array([[0, s, -c, 0.1], [0, c, s, 0.2], [-2.5, 0, 0, 0.3], [0, 0, 0, 1]])
    volume = Volume(
        sample.volume.voxels + np.float32(0.25),
        Geometry(sample.volume.voxels.shape, affine),
        unit,
        None if unit.is_calibrated else Calibration(0.8125, -4.1, Material.K2HPO4, "phantom rods"),
    )
    sample = replace(sample, volume=volume)
    found = _through(tmp_path / "c.h5", sample).load("A")
    assert found.volume.voxels.dtype == np.float32
    _assert_equal(found, replace(sample, subject=found.subject))


def test_order_run_window_and_refusals_come_back(
    tmp_path: Path, make: Callable[..., Sample]
) -> None:
    refused = ({"reason": "stalled", "number": 3}, {"reason": "structure"})
    cohort = _through(tmp_path / "c.h5", make("B"), make("A"), refused=refused)
    assert cohort.sample_ids == ("B", "A")
    assert [one.sample_id for one in cohort] == ["B", "A"]
    assert (cohort.run, cohort.refused, len(cohort)) == (RUN, refused, 2)
    with CohortWriter(tmp_path / "w.h5", RUN, window=Window(-500.0, 900.0)):
        pass
    assert CohortFile(tmp_path / "w.h5").window == Window(-500.0, 900.0)
    assert len(CohortFile(tmp_path / "w.h5")) == 0


def test_the_table_says_what_the_samples_say(
    tmp_path: Path, make: Callable[..., Sample], make_made: Callable[..., Sample]
) -> None:
    _through(tmp_path / "c.h5", make("B"), make_made("A-1"))
    with h5py.File(tmp_path / "c.h5") as file:
        table = {name: column[()].tolist() for name, column in file[schema.TABLE].items()}
    assert set(table) == set(schema.TABLE_COLUMNS)
    assert table["sample_id"] == [b"B", b"A-1"]
    assert table["source_subject_id"] == [b"B", b"A"]
    assert table["source_sample_id"] == [b"", b"A-left"]
    assert table["recipe"] == [b"", b"femur-density"]
    assert table["weight_kg_origin"] == [b"table", b"missing"]
    assert table["calibration_material"] == [b"", b""]
    assert table["spacing_depth_mm"] == [3.0, 3.0]
    assert table["sex"] == [b"F", b"M"]
    assert table["age_years"] == [70.0, 71.5]
    assert np.isnan(table["weight_kg"][1])
    assert (table["depth"], table["height"], table["width"]) == ([40, 40], [32, 32], [32, 32])


def test_the_table_filters_without_voxels(tmp_path: Path, make: Callable[..., Sample]) -> None:
    people = [Subject(f"S{n}", Sex.F if n % 2 else None, 60.0 + n) for n in range(6)]
    cohort = _through(tmp_path / "c.h5", *(make(one.subject_id, subject=one) for one in people))
    old = (cohort.table["age_years"] > 62) & (cohort.table["sex"] == "F")
    ids = cohort.table["sample_id"][old]
    assert ids.tolist() == ["S3", "S5"]
    assert cohort.load(ids[0]).subject == replace(people[3], origins=cohort.subject("S3").origins)
    with pytest.raises(ValueError, match="read-only"):
        cohort.table["age_years"][0] = 1.0


def test_opening_and_filtering_touch_no_sample(
    tmp_path: Path, make_made: Callable[..., Sample]
) -> None:
    _through(tmp_path / "c.h5", make_made())
    with h5py.File(tmp_path / "c.h5", "r+") as file:
        del file["samples/A-1"]
    cohort = CohortFile(tmp_path / "c.h5")
    assert cohort.subject("A-1").age_years == 71.5
    assert cohort.summary("A-1")["shape"] == [40, 32, 32]


def test_scans_of_different_sizes_share_a_file(tmp_path: Path) -> None:
    samples = []
    for number, shape in enumerate([(1, 1, 1), (3, 70, 2), (33, 32, 31), (40, 64, 96)]):
        voxels = np.arange(np.prod(shape)).reshape(shape) % 3000 - 1000
        geometry = Geometry.from_spacing(shape, (2.0, 0.5, 0.75))
        femur = FemurMask(voxels % 7 == voxels.min() % 7, Side.LEFT, MaskOrigin.GIVEN)
        samples.append(Sample(f"S{number}", Subject(f"S{number}"), Volume(voxels, geometry), femur))
    cohort = _through(tmp_path / "c.h5", *samples)
    for found, wanted in zip(cohort, samples, strict=True):
        _assert_equal(found, wanted)
    assert cohort.table["height"].tolist() == [1, 70, 32, 64]


def test_a_slice_is_read_without_the_rest_of_its_volume(
    tmp_path: Path, make: Callable[..., Sample]
) -> None:
    _through(tmp_path / "c.h5", make("A"))
    with h5py.File(tmp_path / "c.h5") as file:
        assert file["samples/A/volume"].chunks == (32, 32, 32)


def test_whole_numbers_given_as_integers_are_stored_as_the_same_bytes(
    tmp_path: Path, make: Callable[..., Sample]
) -> None:
    one = _through(tmp_path / "a.h5", make(subject=Subject("A", None, 70, 65)))
    other = _through(tmp_path / "b.h5", make(subject=Subject("A", None, 70.0, 65.0)))
    assert one.fingerprint == other.fingerprint


def test_the_checksum_covers_shapes_and_names(make_made: Callable[..., Sample]) -> None:
    stored = encode(make_made())
    assert stored.parameters is not None
    values = stored.parameters["shift_hu"]
    turned = {name: voxels.reshape(32, 40, 32) for name, voxels in stored.images.items()}
    others = (
        replace(stored, images=turned),
        replace(stored, parameters={"other": values}),
        replace(stored, parameters={"shift_hu": values.reshape(4, 2)}),
    )
    assert len({stored.checksum(), *(other.checksum() for other in others)}) == 4


def test_equal_input_gives_equal_bytes(tmp_path: Path, make_made: Callable[..., Sample]) -> None:
    for name in ("a", "b"):
        _through(tmp_path / f"{name}.h5", make_made(), refused=({"b": 1, "a": 2},))
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


@pytest.mark.parametrize(
    "changes", [{"seed": 1}, {"subject": Subject("A", Sex.M, 70.0, 65.0)}, {"core_hu": 251.0}]
)
def test_the_fingerprint_names_voxels_and_labels(
    tmp_path: Path, make: Callable[..., Sample], changes: dict[str, object]
) -> None:
    one = _through(tmp_path / "a.h5", make("A"))
    again = _through(tmp_path / "b.h5", make("A"))
    other = _through(tmp_path / "c.h5", make("A", **changes))
    assert one.fingerprint == again.fingerprint != other.fingerprint


def test_plain_h5py_reads_it_with_no_knowledge_of_qctkit(tmp_path: Path, sample: Sample) -> None:
    _through(tmp_path / "c.h5", sample)
    with h5py.File(tmp_path / "c.h5") as file:
        group = file["samples/A"]
        assert group["volume"].dtype == np.int16
        assert group["mask"].dtype == np.uint8
        assert (group.attrs["sex"], group.attrs["age_years"]) == ("F", 70.0)
        np.testing.assert_allclose(group.attrs["spacing_mm"], (3.0, 3.0, 3.0))


def test_nan_in_a_record_is_refused(tmp_path: Path, sample: Sample) -> None:
    bad = replace(sample, provenance={"x": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        _through(tmp_path / "c.h5", bad)
    assert not (tmp_path / "c.h5").exists()
