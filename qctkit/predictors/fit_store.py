"""Fits on disk, finished or not, so that a training that was killed goes on where it stopped."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from qctkit.cohort import Record
from qctkit.errors import PredictorError
from qctkit.predictors.checkpoint import SUFFIX, FileCheckpoint

ASKED = "training.json"
READINGS = "held-out readings"
LEVERAGES = "held-out leverages"
CURVE = "losses of member "


@dataclass(frozen=True, eq=False)
class Fit:
    """Weights of one fit, and what it reads of the subjects held out, ``(N, A)``.

    ``leverages`` ``(N,)`` say how far those lie from the subjects learned from. ``curves`` are the
    losses by epoch ``(E, 2)`` of each network: trained on, and held out.
    """

    weights: dict[str, Tensor]
    readings: NDArray[np.float64]
    leverages: NDArray[np.float64]
    curves: list[NDArray[np.float64]] = field(default_factory=list)


class FitStore:
    """A folder with one file a finished fit, and the checkpoints of others, of one training.

    Args:
        folder: where the fits lie; made with the first.
        asked: what decides the fits: cohort, families, settings, versions.
        resume: use the fits that are there; otherwise they are thrown away.
        say: shows the user a line.

    Raises:
        PredictorError: with ``resume``, the folder holds finished fits of another training.
    """

    def __init__(
        self,
        folder: Path,
        asked: Record,
        *,
        resume: bool,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._folder = folder
        text = json.dumps(asked, indent=1, sort_keys=True)
        if folder.exists() and not resume:
            shutil.rmtree(folder)
        if folder.exists() and _text(folder / ASKED) != text:
            if any(folder.glob("fit-*.safetensors")):
                raise PredictorError(
                    f"{folder} holds the fits of another training (cohort, configuration or "
                    "versions differ); run again without --resume"
                )
            say("what was begun is of another training (cohort, configuration or versions differ) "
                "and is not used; starting afresh")  # fmt: skip
            shutil.rmtree(folder)
        self._asked = text
        begun = {path.name.split(".")[0] for path in folder.glob(f"fit-*{SUFFIX}")}
        if begun:
            say(f"going on inside fits that were under way: {len(begun)}")

    def load(self, number: int) -> Fit | None:
        """Return a finished fit, or None where there is none that can be read."""
        path = self._path(number)
        if not path.is_file():
            return None
        try:
            weights = load_file(path)
            readings, leverages = (weights.pop(name).numpy() for name in (READINGS, LEVERAGES))
        except (OSError, SafetensorError, KeyError):
            return None
        members = sorted((name for name in weights if name.startswith(CURVE)), key=_member)
        curves = [weights.pop(name).numpy() for name in members]
        return Fit(weights, readings, leverages, curves)

    def keep(self, number: int, fit: Fit) -> None:
        """Store a finished fit; its file is there whole or not at all."""
        self._begin()
        path = self._path(number)
        weights = {name: values.contiguous() for name, values in fit.weights.items()}
        partial = path.with_suffix(".partial")
        beside = {
            READINGS: torch.from_numpy(fit.readings),
            LEVERAGES: torch.from_numpy(fit.leverages),
        }
        for member, curve in enumerate(fit.curves):
            beside[f"{CURVE}{member}"] = torch.from_numpy(curve)
        save_file(weights | beside, partial)
        partial.replace(path)
        for left in self._folder.glob(f"{path.stem}*{SUFFIX}*"):
            left.unlink()

    def checkpoint(self, number: int) -> FileCheckpoint:
        """Return where a fit keeps how far it is until it is finished."""
        self._begin()
        return FileCheckpoint(self._path(number).with_suffix(""))

    def discard(self) -> None:
        """Remove the folder: the training is done."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _begin(self) -> None:
        if not self._folder.exists():
            self._folder.mkdir(parents=True)
            (self._folder / ASKED).write_text(self._asked, encoding="utf-8")

    def _path(self, number: int) -> Path:
        return self._folder / f"fit-{number:04d}.safetensors"


def _member(name: str) -> int:
    return int(name.removeprefix(CURVE))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
