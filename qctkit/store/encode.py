"""A sample as plain arrays, texts and attributes, and back; its checksum."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qctkit import schema
from qctkit.calibration import Calibration
from qctkit.cohort import FemurMask, MaskOrigin, Sample, Side, Synthesis
from qctkit.geometry import Geometry
from qctkit.subject import ATTRIBUTES, CORE, Origin, Sex, Subject
from qctkit.units import Material, Unit
from qctkit.volume import Volume

Value: TypeAlias = str | float | np.generic | NDArray[np.float64]
Array: TypeAlias = NDArray[Any]

IMAGES = (schema.VOLUME, schema.MASK, schema.REGION)


@dataclass(frozen=True, eq=False)
class Encoded:
    """A sample as it is stored, whatever the container.

    Attributes:
        attributes: texts, numbers and float64 arrays by name, without the checksum.
        images: ``volume``, ``mask`` and, of a made sample, ``region``, all ``(D, H, W)``.
        parameters: float32 arrays by name; None for a sample that no recipe made.
        texts: JSON texts by name.
    """

    attributes: Mapping[str, Value]
    images: Mapping[str, Array]
    parameters: Mapping[str, Array] | None
    texts: Mapping[str, str]

    def checksum(self) -> str:
        """Return the SHA-256 over everything, by the rule of ``docs/cohort-format.md``."""
        digest = hashlib.sha256()
        for name, value in sorted(self._items()):
            if isinstance(value, str):
                content = value.encode()
                digest.update(f"{name} text {len(content)}\n".encode())
                digest.update(content)
            else:
                array = _little_endian(np.asarray(value))
                shape = "x".join(map(str, array.shape)) or "scalar"
                digest.update(f"{name} {array.dtype.name} {shape}\n".encode())
                digest.update(array.data)
        return digest.hexdigest()

    def _items(self) -> Iterator[tuple[str, Any]]:
        yield from ((f"@{name}", value) for name, value in self.attributes.items())
        yield from self.images.items()
        yield from self.texts.items()
        for name, values in (self.parameters or {}).items():
            yield f"{schema.PARAMETERS}/{name}", values


def encode(sample: Sample) -> Encoded:
    """Return a sample as it is stored.

    Raises:
        ValueError: a record holds NaN or infinity, which JSON cannot.
    """
    images: dict[str, Array] = {
        schema.VOLUME: sample.volume.voxels,
        schema.MASK: sample.femur.voxels.astype(np.uint8),
    }
    texts = {
        schema.PROVENANCE: to_json(sample.provenance),
        schema.TRUTH: to_json(sample.truth),
    }
    parameters = None
    if sample.synthesis is not None:
        made = sample.synthesis
        images[schema.REGION] = made.region.astype(np.uint8)
        texts[schema.SYNTHESIS] = to_json(
            {
                "source_sample_id": made.source_sample_id,
                "source_subject_id": made.source_subject_id,
                "record": made.record,
            }
        )
        parameters = {
            name: np.asarray(values, dtype=np.float32) for name, values in made.parameters.items()
        }
    attributes: dict[str, Value] = {
        "sample_id": sample.sample_id,
        **_subject_attributes(sample.subject),
        "affine": sample.volume.geometry.affine,
        "spacing_mm": np.array(sample.volume.spacing_mm),
        "unit": str(sample.volume.unit),
        "scale": sample.volume.scale_in_words,
        **_calibration_attributes(sample.volume.calibration),
        "side": str(sample.femur.side),
        "mask_origin": str(sample.femur.origin),
    }
    return Encoded(attributes, images, parameters, texts)


def decode(stored: Encoded) -> Sample:
    """Return the sample that was stored."""
    attributes = stored.attributes
    voxels = stored.images[schema.VOLUME]
    d, h, w = voxels.shape
    geometry = Geometry((d, h, w), np.asarray(attributes["affine"]))
    unit = Unit(str(attributes["unit"]))
    return Sample(
        sample_id=str(attributes["sample_id"]),
        subject=decode_subject(attributes),
        volume=Volume(voxels, geometry, unit, decode_calibration(attributes)),
        femur=FemurMask(
            stored.images[schema.MASK].astype(bool),
            Side(str(attributes["side"])),
            MaskOrigin(str(attributes["mask_origin"])),
        ),
        provenance=json.loads(stored.texts[schema.PROVENANCE]),
        truth=json.loads(stored.texts[schema.TRUTH]),
        synthesis=_synthesis(stored) if schema.SYNTHESIS in stored.texts else None,
    )


def decode_subject(attributes: Mapping[str, Any]) -> Subject:
    """Return the subject that attributes describe; what is absent is not known."""
    known = {name: attributes[name] for name in ATTRIBUTES if name in attributes}
    return Subject(
        subject_id=str(attributes["subject_id"]),
        sex=Sex(known["sex"]) if "sex" in known else None,
        age_years=float(known["age_years"]) if "age_years" in known else None,
        weight_kg=float(known["weight_kg"]) if "weight_kg" in known else None,
        origins={name: Origin(attributes[f"{name}_origin"]) for name in known},
        others={name: float(value) for name, value in known.items() if name not in CORE},
    )


def decode_calibration(attributes: Mapping[str, Any]) -> Calibration | None:
    """Return the calibration that attributes describe, None where there is none."""
    if "calibration_material" not in attributes:
        return None
    known: dict[str, Any] = {}
    for field in fields(Calibration):
        value = attributes.get(f"calibration_{field.name}")
        # HDF5 gives NumPy's numbers; a calibration holds Python's, so that it prints alike.
        known[field.name] = value.item() if isinstance(value, np.generic) else value
    known["material"] = Material(known["material"])
    known["is_approximate"] = bool(known["is_approximate"])
    return Calibration(**known)


def to_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN, arrays as lists."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_as_list
    )


def _as_list(value: np.generic | Array) -> Any:
    return value.tolist()


def _little_endian(array: Array) -> Array:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)


def _subject_attributes(subject: Subject) -> dict[str, Value]:
    attributes: dict[str, Value] = {"subject_id": subject.subject_id}
    for name in subject.attributes:
        value = subject.stated(name)
        if value is not None:
            # HDF5 and JSON hold plain texts and numbers, not enumerations.
            attributes[name] = str(value) if isinstance(value, str) else float(value)
            attributes[f"{name}_origin"] = str(subject.origin(name))
    return attributes


def _calibration_attributes(calibration: Calibration | None) -> dict[str, Value]:
    """Return what is known of a calibration, each value in the type that the schema states."""
    if calibration is None:
        return {}
    attributes: dict[str, Value] = {}
    for field in fields(Calibration):
        name, value = f"calibration_{field.name}", getattr(calibration, field.name)
        kind, _ = schema.SAMPLE_ATTRIBUTES[name]
        if value is not None:
            attributes[name] = str(value) if kind == "text" else np.array(value, dtype=kind)[()]
    return attributes


def _synthesis(stored: Encoded) -> Synthesis:
    made = json.loads(stored.texts[schema.SYNTHESIS])
    return Synthesis(
        made["source_sample_id"],
        made["source_subject_id"],
        stored.images[schema.REGION].astype(bool),
        made["record"],
        dict(stored.parameters or {}),
    )
