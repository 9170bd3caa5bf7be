"""A plugin without Python: a package folder with an ONNX file and its description in TOML."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

from qctkit.hookspecs import API_VERSION, PROJECT

if TYPE_CHECKING:
    from qctkit.contracts import PredictorFamily

hookimpl = pluggy.HookimplMarker(PROJECT)


@dataclass(frozen=True)
class OnnxPlugin:
    """The hooks of a package that holds descriptions and no Python.

    ``docs/onnx.md`` says what a description holds.
    """

    descriptions: tuple[Path, ...]
    QCTKIT_API: str = API_VERSION

    @hookimpl
    def register_predictors(self) -> "Sequence[PredictorFamily]":
        """Return one predictor for each description."""
        from qctkit.predictors.onnx_family import OnnxFamily

        return tuple(OnnxFamily(one) for one in self.descriptions)


def onnx_plugin(package: object) -> OnnxPlugin | None:
    """Return the hooks of an imported package, if it has no Python and holds a description."""
    if getattr(package, "__file__", None) is not None:
        return None
    folders = [Path(one) for one in getattr(package, "__path__", ())]
    descriptions = sorted(one for folder in folders for one in folder.glob("*.toml"))
    return OnnxPlugin(tuple(descriptions)) if descriptions else None
