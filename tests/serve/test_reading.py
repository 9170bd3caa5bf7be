"""A blinded reading from the command's point of view and from the reader's browser."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qctkit.cli.main import run
from qctkit.pipeline.read_study import open_study
from qctkit.report.stack import box_around, stack_of
from qctkit.serve.reading import reading_server
from qctkit.serve.server import LocalServer
from qctkit.serve.study import MARGIN_MM, Study
from qctkit.serve.trials import order_for
from tests.browser import look
from tests.small_run import SmallRun

SCANS = 6


@pytest.fixture
def study(small_run: SmallRun, tmp_path: Path) -> Study:
    return open_study(*small_run.cohorts, tmp_path / "answers.jsonl", scans=SCANS, seed=0)


@pytest.fixture
def server(study: Study) -> Iterator[LocalServer]:
    with reading_server(study) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def asked(
    server: LocalServer, method: str, path: str, body: object = None, host: str | None = None
) -> tuple[int, bytes, dict[str, str]]:
    """Return status, body and headers of a request."""
    connection = http.client.HTTPConnection(*server.server_address[:2])
    headers = {} if host is None else {"Host": host}
    text = None if body is None else json.dumps(body)
    connection.request(method, path, text, headers)
    reply = connection.getresponse()
    found = reply.status, reply.read(), dict(reply.getheaders())
    connection.close()
    return found


def test_it_listens_on_this_computer_only_behind_a_new_token_each_time(study: Study) -> None:
    with reading_server(study) as first, reading_server(study) as other:
        assert first.server_address[0] == "127.0.0.1"
        assert len(first.token) >= 32
        assert first.token != other.token


@pytest.mark.parametrize("path", ["/", "/x/", "/{token}", "/{token}/../", "/{token}x/"])
def test_without_the_token_there_is_nothing(server: LocalServer, path: str) -> None:
    assert asked(server, "GET", path.format(token=server.token))[0] == 404


def test_a_page_of_another_name_gets_nothing(server: LocalServer) -> None:
    assert asked(server, "GET", f"/{server.token}/")[0] == 200
    assert asked(server, "GET", f"/{server.token}/", host="evil.example")[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"reader": "../x"},
        {"reader": "r", "place": 99, "made": True, "confidence": 1, "seconds": 1},
        {"reader": "r", "place": 0, "made": 1, "confidence": 1, "seconds": 1},
        {"reader": "r", "place": 0, "made": True, "confidence": 9, "seconds": 1},
        {"reader": "r" * 5000},
    ],
)
def test_nonsense_is_refused_and_nothing_is_written(
    server: LocalServer, study: Study, body: object
) -> None:
    status, text, _ = asked(server, "POST", f"/{server.token}/answer", body)
    assert status == 400
    assert b"error" in text
    assert not study.answers.path.exists()


def test_what_is_sent_is_the_scan_and_nothing_that_tells_what_it_is(
    server: LocalServer, study: Study, small_run: SmallRun
) -> None:
    made, real = small_run.cohorts
    secrets = {*made.sample_ids, *real.sample_ids, made.path.name, real.path.name, "synth"}
    kinds = set()
    for place, trial in enumerate(order_for("r1", SCANS, 0)):
        _, voxels, headers = asked(server, "POST", f"/{server.token}/scan", {"reader": "r1"})
        about = json.loads(headers["X-About"])
        one = study.trials[trial]
        sample = (made if one.is_made else real).load(one.sample_id)
        expected = stack_of(sample, box_around(sample, MARGIN_MM))
        assert set(about) == {"place", "shape", "spacing_mm"}
        found = np.frombuffer(voxels, "<i2").reshape(about["shape"])
        np.testing.assert_array_equal(found, expected.voxels)
        assert not [secret for secret in secrets if secret in json.dumps(headers)]
        kinds.add((one.is_made, *sorted(set(headers) - {"Content-Length"})))
        study.answer("r1", place, made=True, confidence=1, seconds=1.0)
    assert {kind[0] for kind in kinds} == {True, False}
    assert len({kind[1:] for kind in kinds}) == 1
    assert json.loads(asked(server, "POST", f"/{server.token}/scan", {"reader": "r1"})[1]) == {
        "finished": True
    }


def test_two_readers_read_in_a_browser_stop_and_go_on(
    server: LocalServer, study: Study, small_run: SmallRun, chromium: Any
) -> None:
    made, real = small_run.cohorts
    seen = look(chromium, server.address)
    page = seen.page

    def begin(reader: str) -> None:
        page.fill("#reader", reader)
        page.click("#begin button")
        page.wait_for_selector("html[data-place]")

    def saved(count: int) -> None:
        words = f"Scan {min(count + 1, SCANS)} of {SCANS}"
        page.wait_for_function("w => document.querySelector('#place').textContent === w", arg=words)
        assert len(study.answers.given_by(reader)) == count

    reader = "reader-1"
    begin(reader)
    assert page.is_disabled("#save")
    page.keyboard.press("6")
    page.keyboard.press("Enter")
    saved(1)
    page.click("label:has([value='real,2'])")
    page.click("#save")
    saved(2)
    text = page.content()
    assert not [one for one in (*made.sample_ids, *real.sample_ids) if one in text]
    assert [one.score for one in study.answers.answers] == [3, -2]

    page.reload()  # a closed browser loses nothing
    begin(reader)
    assert page.text_content("#place") == f"Scan 3 of {SCANS}"
    for count in range(3, SCANS + 1):
        page.keyboard.press("1")
        page.keyboard.press("Enter")
        if count < SCANS:
            saved(count)
    page.wait_for_selector("#end:visible")
    assert study.done(reader) == SCANS

    page.reload()
    reader = "reader-2"
    begin(reader)
    page.keyboard.press("5")
    page.keyboard.press("Enter")
    saved(1)
    assert seen.troubles == []
    assert all(one.startswith((server.address, "data:")) for one in seen.requests)
    page.close()


def test_an_answer_that_was_saved_is_not_called_lost_where_the_next_scan_does_not_come(
    server: LocalServer, study: Study, chromium: Any
) -> None:
    page = look(chromium, server.address).page
    page.fill("#reader", "r1")
    page.click("#begin button")
    page.wait_for_selector("html[data-place]")

    def answered(key: str) -> str:
        page.keyboard.press(key)
        page.keyboard.press("Enter")
        page.wait_for_function("waiting => state.waiting === waiting", arg=False)
        return str(page.text_content("#error"))

    page.route("**/scan", lambda route: route.abort())
    assert answered("6").startswith("Your answer is saved, but the next scan did not come")
    assert [one.score for one in study.answers.answers] == [3]
    page.unroute("**/scan")
    assert answered("1") == ""
    assert page.text_content("#place") == f"Scan 2 of {SCANS}"
    assert [one.score for one in study.answers.answers] == [3]

    page.route("**/answer", lambda route: route.abort())
    assert answered("1").startswith("Not saved")
    page.unroute("**/answer")
    assert answered("2") == ""
    assert [one.score for one in study.answers.answers] == [3, -2]
    page.close()


def test_slices_and_windows_follow_mouse_and_keys(server: LocalServer, chromium: Any) -> None:
    seen = look(chromium, server.address)
    page = seen.page
    page.fill("#reader", "r1")
    page.click("#begin button")
    page.wait_for_selector("html[data-place]")
    canvas = page.locator("canvas[data-plane=coronal]")
    before = canvas.get_attribute("aria-label")
    page.keyboard.press("ArrowDown")
    assert canvas.get_attribute("aria-label") != before
    axial = page.locator("canvas[data-plane=axial]").get_attribute("aria-label")
    canvas.click(position={"x": 20, "y": 20})
    assert page.locator("canvas[data-plane=axial]").get_attribute("aria-label") != axial
    window = page.text_content("#window-words")
    page.keyboard.press("w")
    assert page.text_content("#window-words") != window
    page.locator("#level").fill("100")
    assert "HU" in page.text_content("#window-words")
    assert seen.troubles == []
    page.close()


def test_the_command_serves_until_ctrl_c_and_then_tells_the_result(
    small_run: SmallRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = tmp_path / "answers.jsonl"
    arguments = [f"{small_run.made}", "--against", f"{small_run.real}", "--answers", f"{answers}"]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "qctkit", "read-study", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert "scans to read" in process.stdout.readline()
    host, token = process.stdout.readline().split("http://")[1].strip().strip("/").split("/")
    connection = http.client.HTTPConnection(host)
    for reader in ("r1", "r2"):
        answer = {"reader": reader, "place": 0, "made": True, "confidence": 2, "seconds": 4.0}
        connection.request("POST", f"/{token}/answer", json.dumps(answer))
        assert json.loads(connection.getresponse().read()) == {"done": 1}
    connection.close()
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "2 answers" in errors
    assert "Traceback" not in errors
    assert run(["read-study", *arguments, "--result"]) == 0
    told = capsys.readouterr().out
    assert "r1: read 1" in told
    assert "Cohen's kappa" in told
    assert run(["read-study", *arguments, "--result", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["readers"]) == 2


def test_bad_input_is_one_error(
    small_run: SmallRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, real, other = f"{small_run.made}", f"{small_run.real}", tmp_path / "other.jsonl"
    other.write_text("mine\n")
    wrong = {
        "holds no made samples": (real, "--against", real),
        "was not made from": (made, "--against", made),
        "not a file of answers": (made, "--against", real, "--answers", f"{other}"),
        "its first line": (made, "--against", real, "--answers", f"{other}", "--result"),
    }
    for words, arguments in wrong.items():
        assert run(["read-study", *arguments]) == 2
        error = capsys.readouterr().err
        assert error.count("Error:") == 1
        assert words in error
    assert other.read_text() == "mine\n"
