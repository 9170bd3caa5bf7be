"""What is exported comes back whole: checksums, fingerprint and the file's own bytes are equal."""

import json
import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from qctkit.calibration import Calibration
from qctkit.cohort import FemurMask, MaskOrigin, MemoryCohort, Sample, Side
from qctkit.contracts import Exporter
from qctkit.errors import InputError, ScanError
from qctkit.exporters.nifti import NiftiExporter
from qctkit.exporters.nrrd import NrrdExporter
from qctkit.geometry import Geometry
from qctkit.pipeline.convert import open_cohort, write_cohort
from qctkit.progress import Silent
from qctkit.readers.cohort import CohortReader
from qctkit.readers.exported import ExportedCohort, ExportReader
from qctkit.simulate import SimulationSettings, simulate_cohort
from qctkit.store.encode import encode
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter
from qctkit.subject import Origin, Sex, Subject
from qctkit.units import Material, Unit
from qctkit.volume import Volume
from qctkit.window import Window

Make = Callable[..., Sample]
EXPORTERS = (NiftiExporter(), NrrdExporter())
RUN = {"command": "test", "seed": 7, "ü": [1, None, 0.1]}


def oblique(shape: tuple[int, int, int], unit: Unit) -> Sample:
    """Return a sample of float voxels on a grid that float32 cannot hold."""
    c, s = np.cos(0.3), np.sin(0.3)
    affine = np.array([[0, s, -c, 1 / 3], [0, c, s, 0.2], [-2.1, 0, 0, 0.3], [0, 0, 0, 1]])
    voxels = (np.arange(np.prod(shape)).reshape(shape) / 7).astype(np.float32)
    line = Calibration(
        0.8125,
        -4.1,
        Material.K2HPO4,
        "phantom rods",
        "Mindways",
        5,
        1 / 3,
        0.9999,
        120.0,
        True,
        0.86,
    )
    stated = None if unit.is_calibrated else line
    volume = Volume(voxels, Geometry(shape, affine), unit, stated)
    mask = FemurMask(voxels > 5, Side.RIGHT, MaskOrigin.SEGMENTED)
    origins = {"sex": Origin.HEADER, "age_years": Origin.TABLE}
    subject = Subject("S-1", Sex.M, 70.1, None, origins)
    return Sample(f"{unit.name}-1", subject, volume, mask, {"kV": 120, "ü": [1, None]})


@pytest.fixture
def samples(make: Make, make_made: Make) -> Sequence[Sample]:
    settings = SimulationSettings(spacing_mm=(6.0, 5.0, 5.0))
    return (
        make("real", subject=Subject("B")),
        *simulate_cohort(1, 0, settings),
        make_made("A-1"),
        *(oblique((5, 6, 7 + number), unit) for number, unit in enumerate(Unit)),
    )


@pytest.fixture
def path(tmp_path: Path, samples: Sequence[Sample]) -> Path:
    refused = {"candidate_id": "c1", "targets": {"sex": "M", "age_years": 71.25}, "verdicts": []}
    with CohortWriter(tmp_path / "c.h5", RUN, window=Window(-500.0, 900.5)) as writer:
        for position, sample in enumerate(samples):
            writer.add(position, sample)
        writer.refuse(len(samples), refused)
    return tmp_path / "c.h5"


@pytest.fixture(params=EXPORTERS, ids=lambda one: one.name)
def exporter(request: pytest.FixtureRequest) -> Exporter:
    return request.param


def back(folder: Path, output: Path) -> CohortFile:
    return write_cohort(open_cohort(folder), output, Silent(), overwrite=False)


def test_the_file_comes_back_byte_for_byte(path: Path, exporter: Exporter) -> None:
    folder = path.parent / "out"
    exporter.export(CohortFile(path), folder, overwrite=False)
    again = back(folder, path.parent / "back.h5")
    assert again.fingerprint == CohortFile(path).fingerprint
    assert again.path.read_bytes() == path.read_bytes()


def test_through_one_format_and_the_other_nothing_is_lost(path: Path) -> None:
    first, second = path.parent / "first", path.parent / "second"
    EXPORTERS[0].export(CohortFile(path), first, overwrite=False)
    EXPORTERS[1].export(ExportedCohort(first), second, overwrite=False)
    assert back(second, path.parent / "back.h5").path.read_bytes() == path.read_bytes()


def test_the_reader_finds_whole_samples_in_order(
    path: Path, exporter: Exporter, samples: Sequence[Sample]
) -> None:
    folder = path.parent / "out"
    exporter.export(CohortFile(path), folder, overwrite=False)
    assert ExportReader().claims(folder)
    for reader, where in ((ExportReader(), folder), (CohortReader(), path)):
        found = [pickle.loads(pickle.dumps(one)).load() for one in reader.find(where)]
        assert [encode(one).checksum() for one in found] == [
            encode(one).checksum() for one in samples
        ]


def test_a_cohort_in_memory_comes_back_too(tmp_path: Path, exporter: Exporter, make: Make) -> None:
    exporter.export(MemoryCohort((make("A"),)), tmp_path / "out", overwrite=False)
    assert encode(ExportedCohort(tmp_path / "out").load("A")).checksum() == (
        encode(make("A")).checksum()
    )


@pytest.fixture
def folder(tmp_path: Path, exporter: Exporter, make_made: Make) -> Path:
    exporter.export(MemoryCohort((make_made("A-1"),)), tmp_path / "out", overwrite=False)
    return tmp_path / "out"


def edit(path: Path, change: Callable[[np.ndarray], None], dtype: type = np.int32) -> None:
    """Change an image as a viewer would, in a type of its own, through ITK."""
    image = SimpleITK.ReadImage(str(path))
    voxels = SimpleITK.GetArrayFromImage(image).astype(dtype)
    change(voxels)
    edited = SimpleITK.GetImageFromArray(voxels)
    edited.CopyInformation(image)
    SimpleITK.WriteImage(edited, str(path))


def image_of(folder: Path, name: str) -> Path:
    images = (one for one in folder.iterdir() if one.suffix != ".json")
    return next(one for one in images if one.name.split(".")[0] == name)


def as_it_is(_: np.ndarray) -> None:
    """Change nothing."""


def test_saving_an_image_unchanged_changes_nothing(folder: Path, make_made: Make) -> None:
    for name in ("A-1", "A-1_mask", "A-1_region"):
        edit(image_of(folder, name), as_it_is, np.float32)
    found = ExportedCohort(folder).load("A-1")
    assert encode(found).checksum() == encode(make_made("A-1")).checksum()


def test_an_edited_mask_is_taken_and_is_the_users(folder: Path, make_made: Make) -> None:
    def fill(voxels: np.ndarray) -> None:
        voxels[:2] = 1

    edit(image_of(folder, "A-1_mask"), fill)
    found = ExportedCohort(folder).load("A-1")
    assert found.femur.voxels[:2].all()
    assert found.femur.origin is MaskOrigin.GIVEN
    assert found.provenance["edited_after_export"] == ["mask"]
    np.testing.assert_array_equal(found.volume.voxels, make_made("A-1").volume.voxels)


@pytest.mark.parametrize(("image", "kept"), [("A_mask", False), ("A", True)])
def test_doubts_about_a_mask_go_when_it_is_edited(
    tmp_path: Path, exporter: Exporter, make: Make, image: str, kept: bool
) -> None:
    def set_corner(voxels: np.ndarray) -> None:
        voxels[0, 0, 0] = 1

    doubted = replace(make("A"), provenance={"mask_doubts": ["the head is cut"], "slices": 40})
    exporter.export(MemoryCohort((doubted,)), tmp_path / "out", overwrite=False)
    edit(image_of(tmp_path / "out", image), set_corner)
    provenance = ExportedCohort(tmp_path / "out").load("A").provenance
    assert ("mask_doubts" in provenance) is kept
    assert provenance["slices"] == 40


def test_edited_voxels_are_taken(folder: Path) -> None:
    def set_corner(voxels: np.ndarray) -> None:
        voxels[0, 0, 0] = 1234

    edit(image_of(folder, "A-1"), set_corner)
    found = ExportedCohort(folder).load("A-1")
    assert found.volume.voxels[0, 0, 0] == 1234
    assert found.provenance["edited_after_export"] == ["volume"]
    assert found.femur.origin is MaskOrigin.SIMULATED


def test_an_image_on_another_grid_is_refused(folder: Path) -> None:
    path = image_of(folder, "A-1_mask")
    image = SimpleITK.ReadImage(str(path))
    image.SetOrigin((0.0, 0.0, 0.0))
    SimpleITK.WriteImage(image, str(path))
    with pytest.raises(ScanError, match=r"A-1_mask.*another grid"):
        ExportedCohort(folder).load("A-1")


def test_an_image_of_another_shape_is_refused(folder: Path) -> None:
    path = image_of(folder, "A-1")
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(path))[1:], str(path))
    with pytest.raises(InputError):
        ExportedCohort(folder).load("A-1")


def test_a_mask_of_several_labels_is_refused(folder: Path) -> None:
    def label(voxels: np.ndarray) -> None:
        voxels[0] = 2

    edit(image_of(folder, "A-1_mask"), label)
    with pytest.raises(ScanError, match="one other value"):
        ExportedCohort(folder).load("A-1")


@pytest.mark.parametrize("name", ["A-1", "A-1_mask", "A-1_region"])
def test_a_damaged_or_missing_image_is_refused(folder: Path, name: str) -> None:
    path = image_of(folder, name)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ScanError, match=name):
        ExportedCohort(folder).load("A-1")
    path.unlink()
    with pytest.raises(ScanError, match="is missing"):
        ExportedCohort(folder).load("A-1")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "qctkit-exported-sample", "version": 1}', '{"format": 3}']
)
def test_a_damaged_json_file_is_refused(folder: Path, text: str) -> None:
    (folder / "A-1.json").write_text(text)
    with pytest.raises(InputError, match=r"export the\s+cohort again"):
        ExportedCohort(folder).load("A-1")


def test_ids_never_lead_out_of_the_folder(folder: Path) -> None:
    record = json.loads((folder / "cohort.json").read_text())
    record["samples"][0]["sample_id"] = "../A-1"
    (folder / "cohort.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"cohort\.json is damaged"):
        ExportedCohort(folder)


def test_other_folders_and_files_are_not_claimed(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "cohort.json").write_bytes(b"\xff{")
    (tmp_path / "x.h5").write_bytes(b"x")
    assert not ExportReader().claims(tmp_path / "other")
    assert not ExportReader().claims(folder / "cohort.json")
    assert not CohortReader().claims(tmp_path / "x.h5")
    assert not CohortReader().claims(tmp_path)


def test_a_damaged_cohort_is_refused_without_its_path(path: Path) -> None:
    found = CohortReader().find(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(ScanError) as caught:
        found[0].load()
    assert str(path.parent) not in str(caught.value)


def test_nifti_affines_are_not_exact_without_the_json_files(tmp_path: Path) -> None:
    """The reason for the JSON files: NIfTI's affine is float32."""
    sample = oblique((5, 6, 7), Unit.HU)
    EXPORTERS[0].export(MemoryCohort((sample,)), tmp_path, overwrite=False)
    affine = nibabel.load(tmp_path / "HU-1.nii.gz").affine[:, [2, 1, 0, 3]]
    assert not np.array_equal(affine, sample.volume.geometry.affine)
    loaded = ExportedCohort(tmp_path).load("HU-1")
    np.testing.assert_array_equal(loaded.volume.geometry.affine, sample.volume.geometry.affine)
    assert replace(sample.subject, origins={}) == replace(loaded.subject, origins={})
