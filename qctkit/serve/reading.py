"""The page of a blinded reading, and what its buttons do."""

import json
from collections.abc import Mapping
from typing import Any

import jinja2
from markupsafe import Markup

from qctkit.errors import InputError
from qctkit.report.assets import asset
from qctkit.serve.server import Action, LocalServer, Reply
from qctkit.serve.study import Study
from qctkit.subject import SUBJECT_ID_PATTERN


def reading_server(study: Study, port: int = 0, unit: str = "HU") -> LocalServer:
    """Return a server of the reading; nothing that it sends tells what a scan is."""
    return LocalServer(reading_page(len(study.trials), unit), actions(study), port)


def reading_page(scans: int, unit: str) -> str:
    """Return the page as HTML."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.PackageLoader("qctkit", "serve"),
    )
    return environment.get_template("reading.html").render(
        scans=scans,
        unit=unit,
        css=Markup(asset("page.css")),
        js=Markup(f"{asset('slices.js')}\n{asset('reading.js', 'qctkit.serve')}"),
    )


def actions(study: Study) -> dict[str, Action]:
    """Return what a reader can do: begin, see the next scan, answer."""

    def begin(asked: Mapping[str, Any]) -> Reply:
        return Reply.json({"scans": len(study.trials), "done": study.done(_reader(asked))})

    def scan(asked: Mapping[str, Any]) -> Reply:
        place = study.next_place(_reader(asked))
        if place is None:
            return Reply.json({"finished": True})
        stack = study.scan(_reader(asked), place)
        about = {"place": place, "shape": stack.shape, "spacing_mm": stack.spacing_mm}
        voxels = stack.voxels.astype("<i2").tobytes()
        return Reply(voxels, "application/octet-stream", {"X-About": json.dumps(about)})

    def answer(asked: Mapping[str, Any]) -> Reply:
        study.answer(
            _reader(asked), _whole(asked["place"]), made=asked["made"],
            confidence=_whole(asked["confidence"]), seconds=float(asked["seconds"]),
        )  # fmt: skip
        return Reply.json({"done": study.done(_reader(asked))})

    return {"begin": begin, "scan": scan, "answer": answer}


def _reader(asked: Mapping[str, Any]) -> str:
    name = asked.get("reader")
    if not isinstance(name, str) or not SUBJECT_ID_PATTERN.fullmatch(name):
        raise InputError(
            "choose 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit"
        )
    return name


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"expected a whole number, got {value!r}")
    return value
