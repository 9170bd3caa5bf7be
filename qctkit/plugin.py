"""The public face for plugin authors: the hook marker and the contracts, and nothing deeper."""

import pluggy

from qctkit.contracts import (
    Candidate,
    Change,
    Displacement,
    Edit,
    Exporter,
    Grid,
    LossTerm,
    PredictorFamily,
    Reader,
    Reading,
    Recipe,
    Role,
    Scan,
    Scene,
    TrainingData,
    Validator,
    Verdict,
)

hookimpl = pluggy.HookimplMarker("qctkit")

__all__ = [
    "Candidate",
    "Change",
    "Displacement",
    "Edit",
    "Exporter",
    "Grid",
    "LossTerm",
    "PredictorFamily",
    "Reader",
    "Reading",
    "Recipe",
    "Role",
    "Scan",
    "Scene",
    "TrainingData",
    "Validator",
    "Verdict",
    "hookimpl",
]
