import contextlib
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from qctkit.cohort import Sample
from qctkit.errors import CohortFileError
from qctkit.store.reader import CohortFile
from qctkit.store.writer import CohortWriter


@pytest.fixture
def path(tmp_path: Path, make: Callable[..., Sample], make_made: Callable[..., Sample]) -> Path:
    path = tmp_path / "c.h5"
    with CohortWriter(path, {}) as writer:
        writer.add(0, make("A", noise_hu=0.0))
        writer.add(1, make_made("A-1"))
    return path


def _load_all(path: Path) -> None:
    list(CohortFile(path))


def _damage_dataset(path: Path, name: str) -> None:
    """Flip one byte in the middle of a dataset's bytes on disk."""
    with h5py.File(path) as file:
        chunk = file[name].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 0x55
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["A/volume", "A/mask", "A-1/volume", "A-1/region"])
def test_a_byte_that_changed_is_found(path: Path, name: str) -> None:
    _damage_dataset(path, f"samples/{name}")
    with pytest.raises(CohortFileError):
        _load_all(path)


@pytest.mark.parametrize("name", ["A", "A-1"])
def test_a_sample_that_is_whole_still_loads_beside_a_damaged_one(path: Path, name: str) -> None:
    other = {"A": "A-1", "A-1": "A"}[name]
    _damage_dataset(path, f"samples/{other}/volume")
    assert CohortFile(path).load(name).sample_id == name


def _change(path: Path, change: Callable[[h5py.File], None]) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def test_a_voxel_changed_through_hdf5_is_found_by_the_checksum(path: Path) -> None:
    def change(file: h5py.File) -> None:
        file["samples/A/volume"][0, 0, 0] += 1

    _change(path, change)
    with pytest.raises(CohortFileError, match="checksum of sample A"):
        _load_all(path)


def test_a_record_changed_through_hdf5_is_found_by_the_checksum(path: Path) -> None:
    def change(file: h5py.File) -> None:
        file["samples/A-1/synthesis"][()] = file["samples/A-1/synthesis"].asstr()[()] + " "

    _change(path, change)
    with pytest.raises(CohortFileError, match="checksum of sample A-1"):
        _load_all(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CohortFileError):
        _load_all(path)


def test_bytes_flipped_anywhere_end_in_a_sample_or_in_a_cohort_file_error(path: Path) -> None:
    content = path.read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(content)
        damaged[generator.integers(len(content))] ^= int(generator.integers(1, 256))
        path.write_bytes(damaged)
        with contextlib.suppress(CohortFileError):
            _load_all(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.h5", tmp_path):
        with pytest.raises(CohortFileError, match="does not exist or is not a file"):
            CohortFile(path)


def test_bytes_that_are_no_hdf5_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(CohortFileError, match="not a readable HDF5 file"):
        CohortFile(tmp_path / "x.h5")


@pytest.mark.parametrize(("name", "value"), [("format", "other"), ("format_version", 3)])
def test_another_format_or_version_is_refused(path: Path, name: str, value: object) -> None:
    _change(path, lambda file: file.attrs.modify(name, value))
    with pytest.raises(CohortFileError, match="not a cohort file of format qctkit-cohort 1"):
        CohortFile(path)


def test_an_hdf5_file_of_something_else_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["data"] = [1, 2, 3]
    with pytest.raises(CohortFileError, match="not a cohort file"):
        CohortFile(tmp_path / "x.h5")


@pytest.mark.parametrize(
    "name", ["run", "table", "samples", "samples/A", "samples/A/volume", "samples/A/truth"]
)
def test_a_part_of_the_file_that_is_gone_is_one_clear_error(path: Path, name: str) -> None:
    def change(file: h5py.File) -> None:
        del file[name]

    _change(path, change)
    with pytest.raises(CohortFileError, match="damaged"):
        _load_all(path)


@pytest.mark.parametrize("name", ["subject_id", "affine", "unit", "side", "sha256"])
def test_an_attribute_that_is_gone_is_one_clear_error(path: Path, name: str) -> None:
    def change(file: h5py.File) -> None:
        del file["samples/A"].attrs[name]

    _change(path, change)
    with pytest.raises(CohortFileError, match="damaged"):
        _load_all(path)


@pytest.mark.parametrize(
    ("name", "value"), [("sex", "X"), ("age_years", -3.0), ("side", "up"), ("subject_id", "a b")]
)
def test_an_impossible_label_is_one_clear_error(path: Path, name: str, value: object) -> None:
    _change(path, lambda file: file["samples/A"].attrs.modify(name, value))
    with pytest.raises(CohortFileError):
        _load_all(path)


@pytest.mark.parametrize("link", [h5py.ExternalLink("other.h5", "/x"), h5py.SoftLink("/samples/A")])
@pytest.mark.parametrize("where", ["x", "table/x", "samples/A/x", "samples/A-1/parameters/x"])
def test_a_link_is_refused_wherever_it_would_be_followed(
    path: Path, link: object, where: str
) -> None:
    def change(file: h5py.File) -> None:
        file[where] = link

    _change(path, change)
    with pytest.raises(CohortFileError, match="is a link; refused"):
        _load_all(path)


def test_a_sample_that_is_a_link_is_refused(path: Path) -> None:
    def change(file: h5py.File) -> None:
        file.copy("samples/A", file, "elsewhere")
        del file["samples/A"]
        file["samples/A"] = h5py.SoftLink("/elsewhere")

    _change(path, change)
    with pytest.raises(CohortFileError, match="/samples/A is a link; refused"):
        _load_all(path)


@pytest.mark.parametrize(
    ("column", "value"),
    [("age_years", 71.0), ("sex", "M"), ("source_subject_id", "B"), ("sha256", "0"), ("depth", 9)],
)
def test_a_table_that_says_something_else_than_a_sample_is_found(
    path: Path, column: str, value: object
) -> None:
    def change(file: h5py.File) -> None:
        file["table"][column][0] = value

    _change(path, change)
    with pytest.raises(CohortFileError, match=f"disagree on {column}"):
        CohortFile(path).load("A")
    assert CohortFile(path).load("A-1").sample_id == "A-1"


@pytest.mark.parametrize("column", ["sex", "sha256", "age_years"])
def test_a_column_that_is_gone_or_short_is_one_clear_error(path: Path, column: str) -> None:
    def shorten(file: h5py.File) -> None:
        values = file["table"][column][:1]
        del file["table"][column]
        file["table"][column] = values

    _change(path, shorten)
    with pytest.raises(CohortFileError, match="different lengths"):
        CohortFile(path).subject("A")
    _change(path, lambda file: file["table"].pop(column))
    with pytest.raises(CohortFileError, match=f"damaged.*{column}"):
        CohortFile(path).subject("A")


def test_a_table_that_gives_an_id_twice_is_refused(path: Path) -> None:
    def change(file: h5py.File) -> None:
        file["table/sample_id"][1] = "A"

    _change(path, change)
    with pytest.raises(CohortFileError, match="a sample id twice"):
        CohortFile(path)


def test_voxels_kept_in_another_file_are_refused(path: Path, tmp_path: Path) -> None:
    def external(file: h5py.File) -> None:
        raw = [(str(tmp_path / "secret.bin"), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("samples/A/x", (4,), dtype="i2", external=raw)

    _change(path, external)
    with pytest.raises(CohortFileError, match="another file; refused"):
        _load_all(path)


def test_a_virtual_dataset_is_refused(path: Path) -> None:
    def virtual(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((4,), "i2")
        layout[:] = h5py.VirtualSource("other.h5", "data", (4,))
        file.create_virtual_dataset("samples/A/x", layout)

    _change(path, virtual)
    with pytest.raises(CohortFileError, match="another file; refused"):
        _load_all(path)


def test_an_unknown_sample_is_refused_by_name(path: Path) -> None:
    for read in (CohortFile(path).load, CohortFile(path).subject):
        with pytest.raises(CohortFileError, match="no sample 'Z'"):
            read("Z")


def test_nothing_in_the_file_is_a_pickle_or_an_object(path: Path) -> None:
    kinds: set[str] = set()
    with h5py.File(path) as file:
        file.visititems(
            lambda _, one: kinds.add(one.dtype.kind) if isinstance(one, h5py.Dataset) else None
        )
        strings = [
            one for one in (file["run"], file["table/sex"]) if h5py.check_string_dtype(one.dtype)
        ]
    assert kinds <= {"i", "u", "f", "O"}
    assert len(strings) == 2
    assert b"cnumpy" not in path.read_bytes()
