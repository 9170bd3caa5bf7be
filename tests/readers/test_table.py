from pathlib import Path

import pytest

from qctkit.errors import TableError
from qctkit.readers.table import TableRow, read_subject_table
from qctkit.subject import Sex

HEADER = "subject_id,path,sex,age_years,weight_kg,mask\n"


@pytest.fixture
def table(tmp_path: Path):
    """Write a table beside a scan and a mask."""
    (tmp_path / "scans").mkdir()
    for name in ("a.nii", "b.nii", "mask.nii"):
        (tmp_path / "scans" / name).touch()

    def write(text: str | bytes) -> Path:
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "table.csv").write_bytes(content)
        return tmp_path / "table.csv"

    return write


def refusal(path: Path) -> str:
    with pytest.raises(TableError) as caught:
        read_subject_table(path)
    assert str(caught.value).startswith(str(path))
    return str(caught.value).removeprefix(str(path))


def test_row_is_read_with_paths_relative_to_the_table(table, tmp_path: Path):
    path = table(HEADER + "A,scans/a.nii,F,69,62.5,scans/mask.nii\n")
    scan, mask = tmp_path / "scans" / "a.nii", tmp_path / "scans" / "mask.nii"
    assert read_subject_table(path) == (TableRow("A", scan, Sex.F, 69.0, 62.5, mask, 2),)


def test_empty_cells_are_missing(table):
    (row,) = read_subject_table(table(HEADER + "A,scans/a.nii,,,,\n"))
    assert (row.sex, row.age_years, row.weight_kg, row.mask) == (None, None, None, None)


def test_attribute_columns_may_be_absent(table):
    (row,) = read_subject_table(table("path,subject_id\nscans/a.nii,A\n"))
    assert (row.subject_id, row.sex, row.mask) == ("A", None, None)


@pytest.mark.parametrize(
    ("text", "sex"), [("F", "F"), ("f", "F"), ("Female", "F"), ("m", "M"), ("male", "M")]
)
def test_sex_is_understood_under_either_column_name(table, text: str, sex: str):
    for name in ("sex", "gender"):
        (row,) = read_subject_table(table(f"subject_id,path,{name}\nA,scans/a.nii,{text}\n"))
        assert row.sex == sex


def test_utf8_with_a_byte_order_mark_is_accepted(table):
    text = "\ufeff" + HEADER + "A,scans/a.nii,F,69,62.5,\n"
    assert read_subject_table(table(text))[0].subject_id == "A"


def test_blank_lines_are_passed_over_and_still_counted(table):
    rows = read_subject_table(table(HEADER + "\nA,scans/a.nii,,,,\n,,,,,\nB,scans/b.nii,,,,\n"))
    assert [row.line for row in rows] == [3, 5]


def test_missing_table_is_refused(tmp_path: Path):
    assert "there is no such table" in refusal(tmp_path / "absent.csv")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the table is empty"),
        (HEADER, "the table has no rows"),
        ("subject_id;path;sex\nA;scans/a.nii;F\n", "separated by semicolons; save it with commas"),
        ("subject_id\tpath\nA\tscans/a.nii\n", "separated by tabs"),
        (HEADER.encode("utf-16"), "not UTF-8"),
        (HEADER.encode() + b"A,scans/a.nii,\xe4,,,\n", "not UTF-8"),
        ('subject_id,path\n"A,scans/a.nii\n', "not valid CSV"),
    ],
)
def test_table_that_is_not_a_table_is_refused(table, text: str | bytes, words: str):
    assert words in refusal(table(text))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("subject_id,path,wieght_kg", "unknown column 'wieght_kg'; did you mean 'weight_kg'?"),
        ("subject_id,path,Age", "unknown column 'Age'; did you mean 'age_years'?"),
        ("Subject_ID,path", "did you mean 'subject_id'?"),
        ("subject_id,path,colour", "unknown column 'colour'; rename it to one of"),
        ("subject_id,sex", "column 'path' is missing; add it"),
        ("subject_id,path,sex,gender", "column 'sex' is there twice"),
    ],
)
def test_wrong_column_is_named(table, header: str, words: str):
    message = refusal(table(header + "\n"))
    assert message.startswith(", line 1: ")
    assert words in message


@pytest.mark.parametrize(
    ("cells", "column", "words"),
    [
        ("A,scans/a.nii,X,,,", "sex", "'X' is not F or M"),
        ("A,scans/a.nii,F,old,,", "age_years", "'old' is not a number"),
        (
            "A,scans/a.nii,F,0,,",
            "age_years",
            "'0' is not a number that it can be (more than 0 and at most 120 years)",
        ),
        ("A,scans/a.nii,F,nan,,", "age_years", "'nan'"),
        (
            "A,scans/a.nii,F,,-62,",
            "weight_kg",
            "'-62' is not a number that it can be (more than 1 ",
        ),
        ('A,scans/a.nii,F,,"62,5",', "weight_kg", "'62,5'"),
        ("A,scans/a.nii,F,,0,", "weight_kg", "leave the cell empty if unknown"),
        ("A,scans/none.nii,F,,,", "path", "'scans/none.nii' does not exist"),
        ("A,,F,,,", "path", "is empty; give the path of the scan"),
        ("A,scans/a.nii,F,,,none.nii", "mask", "'none.nii' does not exist"),
        ("A B,scans/a.nii,F,,,", "subject_id", "'A B' must be 1 to 64 letters"),
        (",scans/a.nii,F,,,", "subject_id", "'' must be"),
    ],
)
def test_wrong_value_is_named_with_line_and_column(table, cells: str, column: str, words: str):
    message = refusal(table(HEADER + "Z,scans/b.nii,,,,\n" + cells + "\n"))
    assert message.startswith(f", line 3, column {column!r}: ")
    assert words in message


def test_duplicate_id_names_both_lines(table):
    message = refusal(table(HEADER + "A,scans/a.nii,,,,\nB,scans/b.nii,,,,\nA,scans/b.nii,,,,\n"))
    assert message.startswith(", line 4, column 'subject_id': the same as on line 2")


@pytest.mark.parametrize("cells", ["A,scans/a.nii,F", "A,scans/a.nii,F,69,62,5,"])
def test_ragged_row_is_refused(table, cells: str):
    assert ", line 2: " in refusal(table(HEADER + cells + "\n"))


def test_a_subject_may_have_several_rows_with_sample_ids(table):
    rows = read_subject_table(
        table("subject_id,path,sample_id,series\nA,scans/a.nii,A-1,\nA,scans/b.nii,A-2,3\n")
    )
    assert [(row.subject_id, row.sample_id, row.series) for row in rows] == [
        ("A", "A-1", None),
        ("A", "A-2", 3),
    ]


def test_a_sample_id_given_twice_names_both_lines(table):
    message = refusal(table("subject_id,path,sample_id\nA,scans/a.nii,X\nB,scans/b.nii,X\n"))
    assert message.startswith(", line 3, column 'sample_id': the same as on line 2")


@pytest.mark.parametrize("series", ["0", "-1", "two", "1.5"])
def test_a_series_is_a_whole_number(table, series: str):
    message = refusal(table(f"subject_id,path,series\nA,scans/a.nii,{series}\n"))
    assert f"column 'series': {series!r} is not a whole number" in message


def test_ids_that_will_be_hashed_may_be_any_text_and_are_not_shown(table):
    text = "subject_id,path\nDoe^Jane 1948,scans/a.nii\nDoe^Jane 1948,scans/b.nii\n"
    with pytest.raises(TableError) as caught:
        read_subject_table(table(text), keyed=True)
    assert "line 3" in str(caught.value)
    assert "Doe" not in str(caught.value)


def test_an_attribute_of_a_plugin_has_a_column(table, grip: str):
    path = table(HEADER.strip() + f",{grip}\nA,scans/a.nii,F,70,62,,31.5\nB,scans/b.nii,,,,,\n")
    first, second = read_subject_table(path)
    assert (first.others, second.others) == ({grip: 31.5}, {})


def test_a_column_that_nobody_registers_is_refused_and_points_to_plugins(table):
    message = refusal(table(HEADER.strip() + ",handedness\nA,scans/a.nii,F,70,62,,40\n"))
    assert "unknown column 'handedness'" in message
    assert message.endswith("An attribute that the core does not know comes with a plugin")
