"""Answers outlive whatever happens to the server."""

import json
from pathlib import Path

import pytest

from qctkit.errors import InputError
from qctkit.serve.answers import Answer, AnswerFile

STUDY = {"made": "m", "real": "r", "scans": 4, "seed": 0}


def answer(trial: int, reader: str = "r1", *, made: bool = True) -> Answer:
    return Answer(reader, trial, made, 2, 3.5)


def test_answers_are_on_disk_when_add_returns_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    file = AnswerFile(path, STUDY)
    assert not path.exists()
    for trial in range(3):
        file.add(answer(trial))
        assert AnswerFile(path, STUDY).answers == file.answers
    assert file.given_by("r1") == {0, 1, 2}
    assert file.given_by("r2") == frozenset()


def test_the_first_answer_to_a_scan_stays(tmp_path: Path) -> None:
    file = AnswerFile(tmp_path / "a.jsonl", STUDY)
    file.add(answer(0, made=True))
    file.add(answer(0, made=False))
    assert [one.made for one in AnswerFile(file.path, STUDY).answers] == [True]


def test_a_line_that_a_kill_cut_short_is_dropped_and_the_next_answer_stands(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    file = AnswerFile(path, STUDY)
    file.add(answer(0))
    with path.open("ab") as stream:
        stream.write(b'{"reader": "r1", "tri')
    again = AnswerFile(path, STUDY)
    again.add(answer(1))
    assert [one.trial for one in AnswerFile(path, STUDY).answers] == [0, 1]


@pytest.mark.parametrize("text", ["", '{"stu', '{"study": {"made": "m"'])
def test_a_first_line_that_a_kill_cut_short_is_written_again(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    AnswerFile(path, STUDY).add(answer(0))
    assert len(AnswerFile(path, STUDY).answers) == 1


def test_the_file_does_not_say_what_a_scan_is(tmp_path: Path) -> None:
    file = AnswerFile(tmp_path / "a.jsonl", STUDY)
    file.add(answer(0))
    row = json.loads(file.path.read_text().splitlines()[1])
    assert row == {"confidence": 2, "made": True, "reader": "r1", "seconds": 3.5, "trial": 0}


@pytest.mark.parametrize("text", ["no", "no\n", "[]\n", '{"study": 1}\n', '{"reader": "x"}\n'])
def test_another_kind_of_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=r"not a file of answers|another study"):
        AnswerFile(path, STUDY)
    assert path.read_text() == text


def test_answers_to_another_study_are_refused_by_what_differs(tmp_path: Path) -> None:
    file = AnswerFile(tmp_path / "a.jsonl", STUDY)
    file.add(answer(0))
    with pytest.raises(InputError, match="other seed"):
        AnswerFile(file.path, {**STUDY, "seed": 1})


@pytest.mark.parametrize(
    "values", [("../x", 0, True, 2, 1.0), ("r", -1, True, 2, 1.0), ("r", 0, True, 4, 1.0)]
)
def test_an_impossible_answer_is_refused(values: tuple[str, int, bool, int, float]) -> None:
    with pytest.raises(InputError):
        Answer(*values)
