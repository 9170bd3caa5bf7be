"""Every error that qctkit raises on purpose.

::

    QctkitError                 catch this to catch them all
    ├── InputError              something the user gave cannot be used
    │   ├── ScanError           a DICOM series or image file
    │   ├── TableError          a row or column of a subject or target table
    │   ├── SegmentationError   no femur could be found in a volume
    │   ├── CohortFileError     a cohort file is damaged or of another format
    │   ├── ReplayError         a made sample cannot be made again as it was
    │   └── OutputExistsError   the output is already there and --overwrite was not given
    ├── PredictorError          a predictor cannot be loaded, exported or used on this cohort
    └── PluginError             a plugin is unknown, broken or clashes with another
        └── PluginRunError      a plugin's own code raised something while it ran

A message says what was wrong, where (file, row, field, subject), the value met, and what to do.
A message never holds a value of a scan's header other than sex, age, weight and geometry.
"""


class QctkitError(Exception):
    """Raised when qctkit cannot go on; the command line prints it and exits with code 2."""


class InputError(QctkitError):
    """Raised when something the user gave cannot be used."""


class ScanError(InputError):
    """Raised when a scan on disk cannot become a volume without guessing."""


class TableError(InputError):
    """Raised when a table of subjects or targets has a wrong column, row or value."""


class SegmentationError(InputError):
    """Raised when no proximal femur can be found in a volume."""


class CohortFileError(InputError):
    """Raised when a cohort file is damaged, incomplete or of another format."""


class ReplayError(InputError):
    """Raised when a made sample cannot be made again, to the byte, with what is installed."""


class OutputExistsError(InputError):
    """Raised when an output is already there and overwriting was not asked for."""


class PredictorError(QctkitError):
    """Raised when a predictor cannot be loaded, exported or used on this cohort."""


class PluginError(QctkitError):
    """Raised when a plugin is unknown, broken or clashes with another."""


class PluginRunError(PluginError):
    """Raised when a plugin's own code raised something while it ran."""
