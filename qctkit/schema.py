"""The names, types and shapes of everything in a cohort file, formats 1 and 2.

Format 2 is format 1 with attributes of subjects that plugins define: ``ATTRIBUTES`` defines them,
and each has the attributes and columns that ``sample_attributes`` and ``table_columns`` add.

What they mean is written once, in ``docs/cohort-format.md``; tests hold that page, this module and
a real file against one another.
"""

from collections.abc import Collection, Iterable, Mapping

FORMAT = "qctkit-cohort"
FORMAT_VERSIONS = (1, 2)
"""Without and with attributes that plugins define."""

RUN = "run"
ATTRIBUTES = "attributes"
TABLE = "table"
REFUSED = "refused"
SAMPLES = "samples"

VOLUME = "volume"
MASK = "mask"
REGION = "region"
PROVENANCE = "provenance"
TRUTH = "truth"
SYNTHESIS = "synthesis"
PARAMETERS = "parameters"
SHA256 = "sha256"

FILE_ATTRIBUTES = {
    "format": "text",
    "format_version": "int64",
    "qctkit_version": "text",
    "window_low_hu": "float64",
    "window_high_hu": "float64",
    "fingerprint": "text",
}
"""Attributes of the root: type by name."""

SAMPLE_ATTRIBUTES = {
    "sample_id": ("text", ()),
    "subject_id": ("text", ()),
    "sex": ("text", ()),
    "sex_origin": ("text", ()),
    "age_years": ("float64", ()),
    "age_years_origin": ("text", ()),
    "weight_kg": ("float64", ()),
    "weight_kg_origin": ("text", ()),
    "affine": ("float64", (4, 4)),
    "spacing_mm": ("float64", (3,)),
    "unit": ("text", ()),
    "scale": ("text", ()),
    "calibration_slope_mg_cm3_per_hu": ("float64", ()),
    "calibration_intercept_mg_cm3": ("float64", ()),
    "calibration_material": ("text", ()),
    "calibration_origin": ("text", ()),
    "calibration_phantom": ("text", ()),
    "calibration_rods": ("int64", ()),
    "calibration_residual_mg_cm3": ("float64", ()),
    "calibration_r": ("float64", ()),
    "calibration_tube_voltage_kvp": ("float64", ()),
    "calibration_is_approximate": ("uint8", ()),
    "calibration_converted_by": ("float64", ()),
    "calibration_converted_by_uncertainty": ("float64", ()),
    "side": ("text", ()),
    "mask_origin": ("text", ()),
    SHA256: ("text", ()),
}
"""Attributes of a sample: type and shape by name."""

SAMPLE_DATASETS = {
    VOLUME: ("int16 or float32", 3),
    MASK: ("uint8", 3),
    PROVENANCE: ("text", 0),
    TRUTH: ("text", 0),
    REGION: ("uint8", 3),
    SYNTHESIS: ("text", 0),
    f"{PARAMETERS}/<name>": ("float32", None),
}
"""Datasets of a sample: type and number of axes (None: any) by name."""

_CALIBRATION = (
    "@calibration_slope_mg_cm3_per_hu",
    "@calibration_intercept_mg_cm3",
    "@calibration_material",
    "@calibration_origin",
    "@calibration_is_approximate",
)
"""What every calibration has; the rest is there where it is known."""

OPTIONAL_TOGETHER = (
    ("@sex", "@sex_origin"),
    ("@age_years", "@age_years_origin"),
    ("@weight_kg", "@weight_kg_origin"),
    _CALIBRATION,
    *(
        (f"@{name}",)
        for name in SAMPLE_ATTRIBUTES
        if name.startswith("calibration_") and f"@{name}" not in _CALIBRATION
    ),
    (REGION, SYNTHESIS, PARAMETERS),
)
"""What a sample may lack: of each row all or none is there (``@`` marks an attribute)."""

TABLE_COLUMNS = {
    "sample_id": "text",
    "subject_id": "text",
    "source_subject_id": "text",
    "source_sample_id": "text",
    "recipe": "text",
    "sex": "text",
    "age_years": "float64",
    "weight_kg": "float64",
    "sex_origin": "text",
    "age_years_origin": "text",
    "weight_kg_origin": "text",
    "side": "text",
    "mask_origin": "text",
    "unit": "text",
    "scale": "text",
    "calibration_slope_mg_cm3_per_hu": "float64",
    "calibration_intercept_mg_cm3": "float64",
    "calibration_material": "text",
    "calibration_origin": "text",
    "depth": "int64",
    "height": "int64",
    "width": "int64",
    "spacing_depth_mm": "float64",
    "spacing_height_mm": "float64",
    "spacing_width_mm": "float64",
    SHA256: "text",
}
"""Columns of the table, one value a sample: type by name."""


def format_version(others: Collection[str]) -> int:
    """Return the version of a file whose subjects have these attributes beside the core's."""
    return FORMAT_VERSIONS[bool(others)]


def sample_attributes(others: Iterable[str]) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    """Return the attributes of a sample, those of other subjects' attributes among them."""
    return {**SAMPLE_ATTRIBUTES, **{name: (kind, ()) for name, kind in _added(others).items()}}


def optional_together(others: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Return what a sample may lack, see ``OPTIONAL_TOGETHER``."""
    added = (tuple(f"@{part}" for part in _added([name])) for name in others)
    return (*OPTIONAL_TOGETHER, *added)


def table_columns(others: Iterable[str]) -> Mapping[str, str]:
    """Return the columns of the table, those of other subjects' attributes last."""
    return {**TABLE_COLUMNS, **_added(others)}


def is_taken(name: str) -> bool:
    """Whether the cohort file has something else of the name of an attribute."""
    taken = {*SAMPLE_ATTRIBUTES, *TABLE_COLUMNS, *SAMPLE_DATASETS}
    return name.endswith("_origin") or name in taken


def _added(others: Iterable[str]) -> dict[str, str]:
    """Return what attributes of subjects have in a file: a value and its origin each."""
    return {
        f"{name}{end}": kind
        for name in others
        for end, kind in (("", "float64"), ("_origin", "text"))
    }
