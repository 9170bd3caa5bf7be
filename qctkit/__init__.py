"""qctkit makes new, labelled QCT scans of the proximal femur from real ones.

This module holds the version and the errors; everything else is imported from its own package,
so that ``import qctkit`` loads nothing heavy.
"""

from qctkit.errors import (
    CohortFileError,
    InputError,
    OutputExistsError,
    PluginError,
    PluginRunError,
    PredictorError,
    QctkitError,
    ReplayError,
    ScanError,
    SegmentationError,
    TableError,
)

__version__ = "0.1.0"

__all__ = [
    "CohortFileError",
    "InputError",
    "OutputExistsError",
    "PluginError",
    "PluginRunError",
    "PredictorError",
    "QctkitError",
    "ReplayError",
    "ScanError",
    "SegmentationError",
    "TableError",
    "__version__",
]
