"""The public face for plugin authors: the hook marker, the contracts, and what they speak of.

A plugin imports from here and from ``qctkit.testing``, and nothing deeper. A name is imported when
it is first asked for, so that a plugin can be discovered without loading NumPy.
"""

import importlib
import warnings
from typing import TYPE_CHECKING, Any

import pluggy

from qctkit import hookspecs
from qctkit.hookspecs import API_VERSION, PROJECT, PluginApiWarning

if TYPE_CHECKING:
    from qctkit.calibration import Calibration
    from qctkit.cohort import Cohort, FemurMask, MaskOrigin, MemoryCohort, Record, Sample, Side
    from qctkit.contracts import (
        AtMost,
        AttributeTerm,
        Candidate,
        Change,
        Displacement,
        Edit,
        Exporter,
        FoundScan,
        Gap,
        Grid,
        LossTerm,
        Pace,
        PredictorFamily,
        Reader,
        Reading,
        Recipe,
        Role,
        Scan,
        Scene,
        TrainingData,
        Transform,
        Transformed,
        Validator,
        Verdict,
    )
    from qctkit.density import (
        DensityFigures,
        DensityLine,
        DensityReference,
        measure_density,
    )
    from qctkit.errors import (
        InputError,
        OutputExistsError,
        PluginError,
        PredictorError,
        QctkitError,
        ScanError,
    )
    from qctkit.frame import FemurFrame, locate
    from qctkit.geometry import Geometry
    from qctkit.subject import Attribute, Sex, Subject
    from qctkit.units import Unit
    from qctkit.view import View, see
    from qctkit.volume import Mask, Volume
    from qctkit.window import Window

hookimpl = pluggy.HookimplMarker(PROJECT)

_HOMES = {
    "qctkit.calibration": ("Calibration",),
    "qctkit.cohort": (
        "Cohort", "FemurMask", "MaskOrigin", "MemoryCohort", "Record", "Sample", "Side",
    ),
    "qctkit.contracts": (
        "AtMost", "AttributeTerm", "Candidate", "Change", "Displacement", "Edit", "Exporter",
        "FoundScan", "Gap", "Grid", "LossTerm", "Pace", "PredictorFamily", "Reader", "Reading",
        "Recipe", "Role", "Scan", "Scene", "TrainingData", "Transform", "Transformed", "Validator",
        "Verdict",
    ),
    "qctkit.density": ("DensityFigures", "DensityLine", "DensityReference", "measure_density"),
    "qctkit.errors": (
        "InputError", "OutputExistsError", "PluginError", "PredictorError", "QctkitError",
        "ScanError",
    ),
    "qctkit.frame": ("FemurFrame", "locate"),
    "qctkit.geometry": ("Geometry",),
    "qctkit.subject": ("Attribute", "Sex", "Subject"),
    "qctkit.units": ("Unit",),
    "qctkit.view": ("View", "see"),
    "qctkit.volume": ("Mask", "Volume"),
    "qctkit.window": ("Window",),
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "API_VERSION",
    "AtMost",
    "Attribute",
    "AttributeTerm",
    "Calibration",
    "Candidate",
    "Change",
    "Cohort",
    "DensityFigures",
    "DensityLine",
    "DensityReference",
    "Displacement",
    "Edit",
    "Exporter",
    "FemurFrame",
    "FemurMask",
    "FoundScan",
    "Gap",
    "Geometry",
    "Grid",
    "InputError",
    "LossTerm",
    "Mask",
    "MaskOrigin",
    "MemoryCohort",
    "OutputExistsError",
    "Pace",
    "PluginApiWarning",
    "PluginError",
    "PredictorError",
    "PredictorFamily",
    "QctkitError",
    "Reader",
    "Reading",
    "Recipe",
    "Record",
    "Role",
    "Sample",
    "Scan",
    "ScanError",
    "Scene",
    "Sex",
    "Side",
    "Subject",
    "TrainingData",
    "Transform",
    "Transformed",
    "Unit",
    "Validator",
    "Verdict",
    "View",
    "Volume",
    "Window",
    "hookimpl",
    "locate",
    "measure_density",
    "see",
]


def __getattr__(name: str) -> Any:
    """Return a public name, importing its module (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'qctkit.plugin' has no attribute {name!r}")
    if name in hookspecs.DEPRECATED:
        words = hookspecs.DEPRECATED[name].words(f"qctkit.plugin.{name}")
        warnings.warn(words, PluginApiWarning, stacklevel=2)
    return getattr(importlib.import_module(_HOME[name]), name)
