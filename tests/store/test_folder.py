from pathlib import Path

import pytest

from qctkit.errors import OutputExistsError
from qctkit.store.folder import ReplacedFolder


def test_a_folder_takes_its_name_when_it_is_complete(tmp_path: Path) -> None:
    wanted = tmp_path / "deep" / "out"
    with ReplacedFolder(wanted, overwrite=False) as folder:
        (folder / "a").write_text("x")
        assert not wanted.exists()
    assert [one.name for one in wanted.iterdir()] == ["a"]
    assert [one.name for one in wanted.parent.iterdir()] == ["out"]


def _fail(wanted: Path) -> None:
    with ReplacedFolder(wanted, overwrite=True) as folder:
        (folder / "new.json").write_text("x")
        raise KeyboardInterrupt


def test_an_error_leaves_the_old_folder_as_it_was(tmp_path: Path) -> None:
    wanted = tmp_path / "out"
    wanted.mkdir()
    (wanted / "old.json").write_text("x")
    with pytest.raises(KeyboardInterrupt):
        _fail(wanted)
    assert [str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*")] == [
        "out",
        "out/old.json",
    ]


def test_overwriting_replaces_the_whole_folder(tmp_path: Path) -> None:
    wanted = tmp_path / "out"
    wanted.mkdir()
    (wanted / "old.json").write_text("x")
    with ReplacedFolder(wanted, overwrite=True) as folder:
        (folder / "new.json").write_text("x")
    assert [one.name for one in wanted.iterdir()] == ["new.json"]


def test_a_folder_with_something_in_it_is_refused_and_an_empty_one_taken(tmp_path: Path) -> None:
    with ReplacedFolder(tmp_path / "out", overwrite=False):
        pass
    with ReplacedFolder(tmp_path / "out", overwrite=False) as folder:
        (folder / "a").write_text("x")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        ReplacedFolder(tmp_path / "out", overwrite=False)


def test_a_folder_with_files_that_are_not_ours_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("x")
    with pytest.raises(OutputExistsError, match=r"thesis\.docx"):
        ReplacedFolder(tmp_path, overwrite=True)
