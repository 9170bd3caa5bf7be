"""The page docs/cohort-format.md is true: nothing of qctkit reads the cohorts here.

Files are made by qctkit, then read with plain h5py by the rules that the page states.
"""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from qctkit import schema
from qctkit.calibration import Calibration
from qctkit.cohort import Sample
from qctkit.store.writer import CohortWriter
from qctkit.subject import Origin
from qctkit.units import Material

PAGE = (Path(__file__).parents[2] / "docs" / "cohort-format.md").read_text(encoding="utf-8")
TYPES = {"int16", "uint8", "float32", "float64", "int64", "text"}


@pytest.fixture
def file(
    tmp_path: Path, make: Callable[..., Sample], make_made: Callable[..., Sample], grip: str
) -> Iterator[h5py.File]:
    """A cohort in which everything on the page occurs."""
    real = make("A")
    real = replace(real, subject=real.subject.with_values({grip: 31.5}, Origin.TABLE))
    line = Calibration(
        0.8, -3.0, Material.HA, "phantom rods", "QRM", 3, 2.5, 0.999, 120.0, False, 0.86, 0.01
    )
    calibrated = replace(real, volume=replace(real.volume, calibration=line))
    made = make_made("A-1")
    with CohortWriter(tmp_path / "c.h5", {"command": "test", "seed": 3}) as writer:
        writer.add(0, made)
        writer.refuse(1, {"reason": "stalled"})
        writer.add(2, calibrated)
    with h5py.File(tmp_path / "c.h5") as opened:
        yield opened


def rows(heading: str) -> dict[str, dict[str, str]]:
    """Return the rows of the table under a heading of the page, by name."""
    section = re.split(r"^## ", PAGE.split(f"## {heading}\n")[1], flags=re.M)[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line] for line in lines]
    header = cells[0]
    named = [dict(zip(header, line, strict=True)) for line in cells[2:]]
    return {row["name"].strip("`"): row for row in named}


def stored_type(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    if isinstance(value, h5py.Dataset) and h5py.check_string_dtype(value.dtype):
        return "text"
    return str(value.dtype.name)


def shape_words(value: Any) -> int:
    return 0 if isinstance(value, str) else len(value.shape)


def axes(row: dict[str, str]) -> int | None:
    """Return how many axes the page gives an object; None for any number."""
    shape = row.get("shape", "")
    return None if shape == "any" else len([one for one in shape.strip("()").split(",") if one])


def check(row: dict[str, str], value: Any) -> None:
    if row["type"] == "group":
        assert isinstance(value, h5py.Group)
        return
    assert stored_type(value) in row["type"].split(" or ")
    wanted = axes(row)
    if row["name"] == "`affine`":
        assert value.shape == (4, 4)
    elif row["name"] == "`spacing_mm`":
        assert value.shape == (3,)
    else:
        assert wanted is None or shape_words(value) == wanted


def on_the_page(path: str) -> str:
    """Return the name that the page gives an object."""
    path = re.sub(r"^/samples/[^/]+", "/samples/<sample_id>", f"/{path}")
    path = re.sub(r"^/table/.+", "/table/<column>", path)
    return re.sub(r"/parameters/.+", "/parameters/<name>", path)


def test_every_object_of_a_file_is_on_the_page_and_the_other_way_round(file: h5py.File) -> None:
    page, found = rows("Objects"), set()

    def visit(path: str, value: Any) -> None:
        name = on_the_page(path)
        found.add(name)
        if name != "/table/<column>":
            check(page[name], value)

    file.visititems(visit)
    assert found == set(page)


def test_every_attribute_of_the_file_is_on_the_page(file: h5py.File) -> None:
    page = rows("Attributes of `/`")
    assert set(file.attrs) == set(page)
    for name, value in file.attrs.items():
        check(page[name], value)


def others_by_the_page(file: h5py.File) -> dict[str, dict[str, str]]:
    """Return the rows of the attributes that a file defines, by the names that they have there."""
    defined = [one["name"] for one in json.loads(file["attributes"].asstr()[()])]
    general = rows("Other attributes").items()
    return {
        name.replace("<attribute>", one): {**row, "name": f"`{one}`"}
        for one in defined
        for name, row in general
    }


def test_every_attribute_of_a_sample_is_on_the_page(file: h5py.File) -> None:
    page = rows("Attributes of `/samples/<sample_id>`") | others_by_the_page(file)
    assert set(file["samples/A"].attrs) == set(page)
    for group in file["samples"].values():
        for name in page:
            if name in group.attrs:
                check(page[name], group.attrs[name])
            else:
                assert page[name]["absent"]


def test_every_column_is_on_the_page_in_its_order(file: h5py.File) -> None:
    page = rows("Columns of `/table`") | others_by_the_page(file)
    assert set(file["table"]) == set(page)
    for name, column in file["table"].items():
        assert stored_type(column) == page[name]["type"]
        assert column.shape == (2,)


def test_other_attributes_are_defined_as_the_page_says(file: h5py.File) -> None:
    (defined,) = json.loads(file["attributes"].asstr()[()])
    assert set(defined) == {"name", "kind", "unit", "low", "high"}
    assert file.attrs["format_version"] == 2
    column = file["table/grip_strength_kg"][()]
    assert np.isnan(column[0])
    assert column[1] == 31.5
    assert list(file["table/grip_strength_kg_origin"].asstr()[()]) == ["missing", "table"]


def test_the_schema_names_what_the_page_names() -> None:
    types = {name: row["type"] for name, row in rows("Columns of `/table`").items()}
    assert list(types.items()) == list(schema.TABLE_COLUMNS.items())
    types = {name: row["type"] for name, row in rows("Attributes of `/`").items()}
    assert types == schema.FILE_ATTRIBUTES
    attributes = rows("Attributes of `/samples/<sample_id>`")
    assert {name: row["type"] for name, row in attributes.items()} == {
        name: kind for name, (kind, _) in schema.SAMPLE_ATTRIBUTES.items()
    }
    objects = rows("Objects")
    datasets = {
        f"/samples/<sample_id>/{name}": kind for name, kind in schema.SAMPLE_DATASETS.items()
    }
    for name, (kind, count) in datasets.items():
        assert (objects[name]["type"], axes(objects[name])) == (kind, count)


def checksum_by_the_page(group: h5py.Group) -> str:
    items: dict[str, Any] = {
        f"@{name}": value for name, value in group.attrs.items() if name != "sha256"
    }

    def visit(name: str, value: Any) -> None:
        if isinstance(value, h5py.Dataset):
            items[name] = value.asstr()[()] if stored_type(value) == "text" else value[()]

    group.visititems(visit)
    digest = hashlib.sha256()
    for name in sorted(items, key=str.encode):
        value = items[name]
        if isinstance(value, str):
            content, kind, shape = value.encode(), "text", str(len(value.encode()))
        else:
            kind, shape = value.dtype.name, "x".join(map(str, value.shape)) or "scalar"
            content = value.astype(value.dtype.newbyteorder("<")).tobytes(order="C")
        digest.update(f"{name} {kind} {shape}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def test_checksums_and_fingerprint_follow_from_the_page(file: h5py.File) -> None:
    order = file["table/sample_id"].asstr()[()]
    stated = [file["samples"][name].attrs["sha256"] for name in order]
    assert [checksum_by_the_page(file["samples"][name]) for name in order] == stated
    assert list(file["table/sha256"].asstr()[()]) == stated
    assert hashlib.sha256("".join(stated).encode()).hexdigest() == file.attrs["fingerprint"]


def test_voxels_lie_where_the_page_says(file: h5py.File, sample: Sample) -> None:
    group = file["samples/A"]
    volume, affine = group["volume"], group.attrs["affine"]
    np.testing.assert_array_equal(volume[()], sample.volume.voxels)
    assert volume.shape == (40, 32, 32)
    np.testing.assert_array_equal(affine @ [1, 2, 3, 1], [10 + 9, -20 + 6, 30 + 3, 1])
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    np.testing.assert_array_equal(lengths, group.attrs["spacing_mm"])
    assert all(length <= 32 for length in volume.chunks)
    assert (volume.compression, volume.shuffle) == ("gzip", True)
    assert set(np.unique(group["mask"])) == {0, 1}


def test_json_texts_are_as_the_page_says(file: h5py.File) -> None:
    group = file["samples/A-1"]
    made = json.loads(group["synthesis"].asstr()[()])
    assert set(made) == {"source_sample_id", "source_subject_id", "record"}
    for text in (group["synthesis"], group["provenance"], file["run"]):
        value = text.asstr()[()]
        assert value == json.dumps(json.loads(value), sort_keys=True, separators=(",", ":"))


def test_the_page_s_own_program_runs(file: h5py.File) -> None:
    program = re.findall(r"```python\n(.*?)```", PAGE, re.S)[0]
    path = Path(file.filename)
    file.close()
    program = program.replace('"cohort.h5"', repr(str(path))) + "    print(old[0], volume.shape)\n"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "A-1 (40, 32, 32)\n"
