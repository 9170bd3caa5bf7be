"""A sample as an HDF5 group, and back."""

import hashlib
import json
from dataclasses import fields
from typing import Any

import h5py
import numpy as np

from qctkit import schema
from qctkit.calibration import Calibration
from qctkit.cohort import FemurMask, MaskOrigin, Record, Sample, Side, Synthesis
from qctkit.geometry import Geometry
from qctkit.subject import ATTRIBUTES, Origin, Sex, Subject
from qctkit.units import Material, Unit
from qctkit.volume import Volume

GZIP_LEVEL = 4


def write_sample(group: h5py.Group, sample: Sample) -> None:
    """Write a sample into an empty group, its checksum last."""
    _write_subject(group, sample.subject)
    _write_volume(group, sample.volume)
    group.attrs["sample_id"] = sample.sample_id
    group.attrs["side"] = str(sample.femur.side)
    group.attrs["mask_origin"] = str(sample.femur.origin)
    _write_array(group, schema.MASK, sample.femur.voxels.astype(np.uint8))
    write_json(group, schema.PROVENANCE, sample.provenance)
    write_json(group, schema.TRUTH, sample.truth)
    if sample.synthesis is not None:
        _write_synthesis(group, sample.synthesis)
    group.attrs["sha256"] = checksum(group)


def read_sample(group: h5py.Group) -> Sample:
    """Return the sample that a group holds."""
    femur = FemurMask(
        group[schema.MASK][()].astype(bool),
        Side(group.attrs["side"]),
        MaskOrigin(group.attrs["mask_origin"]),
    )
    return Sample(
        sample_id=str(group.attrs["sample_id"]),
        subject=read_subject(group),
        volume=_read_volume(group),
        femur=femur,
        provenance=read_json(group, schema.PROVENANCE),
        truth=read_json(group, schema.TRUTH),
        synthesis=_read_synthesis(group) if schema.SYNTHESIS in group else None,
    )


def read_subject(group: h5py.Group) -> Subject:
    """Return the subject of a sample without touching its voxels."""
    attributes = group.attrs
    known = {name: attributes[name] for name in ATTRIBUTES if name in attributes}
    return Subject(
        subject_id=str(attributes["subject_id"]),
        sex=Sex(known["sex"]) if "sex" in known else None,
        age_years=float(known["age_years"]) if "age_years" in known else None,
        weight_kg=float(known["weight_kg"]) if "weight_kg" in known else None,
        origins={name: Origin(attributes[f"{name}_origin"]) for name in known},
    )


def read_calibration(group: h5py.Group) -> Calibration | None:
    """Return the calibration of a sample without touching its voxels, None where it has none."""
    if "calibration_material" not in group.attrs:
        return None
    names = [field.name for field in fields(Calibration)]
    stored = {name: group.attrs.get(f"calibration_{name}") for name in names}
    # h5py gives NumPy's numbers; a calibration holds Python's, so that it prints alike.
    known: dict[str, Any] = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in stored.items()
        if value is not None
    }
    return Calibration(**{**known, "material": Material(known["material"])})


def checksum(group: h5py.Group) -> str:
    """Return the SHA-256 of everything a sample's group holds, as ``schema`` defines it."""
    digest = hashlib.sha256()
    for name in (schema.VOLUME, schema.MASK, schema.REGION):
        if name in group:
            digest.update(_little_endian(group[name][()]))
    for name in (schema.PROVENANCE, schema.TRUTH, schema.SYNTHESIS):
        if name in group:
            digest.update(group[name].asstr()[()].encode())
    for values in group.get(schema.PARAMETERS, {}).values():
        digest.update(_little_endian(values[()]))
    attributes = {name: value for name, value in group.attrs.items() if name != "sha256"}
    digest.update(to_json(attributes).encode())
    return digest.hexdigest()


def write_json(group: h5py.Group, name: str, value: Record | list[Record]) -> None:
    """Write a value as JSON text; NaN and infinity are refused."""
    group.create_dataset(name, data=to_json(value), dtype=h5py.string_dtype())


def read_json(group: h5py.Group, name: str) -> Any:
    """Return a value written by ``write_json``."""
    return json.loads(group[name].asstr()[()])


def to_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN, arrays as lists."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_as_list
    )


def _as_list(value: np.generic | np.ndarray) -> Any:
    return value.tolist()


def _little_endian(array: np.ndarray) -> bytes:
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def _write_subject(group: h5py.Group, subject: Subject) -> None:
    group.attrs["subject_id"] = subject.subject_id
    for name in ATTRIBUTES:
        value = getattr(subject, name)
        if value is not None:
            # h5py stores plain text, not enumerations.
            group.attrs[name] = str(value) if isinstance(value, str) else value
            group.attrs[f"{name}_origin"] = str(subject.origin(name))


def _write_volume(group: h5py.Group, volume: Volume) -> None:
    _write_array(group, schema.VOLUME, volume.voxels)
    group.attrs["affine"] = volume.geometry.affine
    group.attrs["spacing_mm"] = volume.spacing_mm
    group.attrs["unit"] = str(volume.unit)
    group.attrs["scale"] = volume.scale_in_words
    if volume.calibration is not None:
        _write_calibration(group, volume.calibration)


def _write_calibration(group: h5py.Group, calibration: Calibration) -> None:
    for field in fields(Calibration):
        value = getattr(calibration, field.name)
        if value is not None:
            stored = str(value) if isinstance(value, str) else value
            group.attrs[f"calibration_{field.name}"] = stored


def _read_volume(group: h5py.Group) -> Volume:
    voxels = group[schema.VOLUME][()]
    geometry = Geometry(voxels.shape, group.attrs["affine"])
    return Volume(voxels, geometry, Unit(group.attrs["unit"]), read_calibration(group))


def _write_synthesis(group: h5py.Group, synthesis: Synthesis) -> None:
    _write_array(group, schema.REGION, synthesis.region.astype(np.uint8))
    record = {
        "source_sample_id": synthesis.source_sample_id,
        "source_subject_id": synthesis.source_subject_id,
        "record": synthesis.record,
    }
    write_json(group, schema.SYNTHESIS, record)
    parameters = group.create_group(schema.PARAMETERS)
    for name, values in synthesis.parameters.items():
        parameters.create_dataset(name, data=np.asarray(values, dtype=np.float32))


def _read_synthesis(group: h5py.Group) -> Synthesis:
    stored = read_json(group, schema.SYNTHESIS)
    return Synthesis(
        stored["source_sample_id"],
        stored["source_subject_id"],
        group[schema.REGION][()].astype(bool),
        stored["record"],
        {name: values[()] for name, values in group[schema.PARAMETERS].items()},
    )


def _write_array(group: h5py.Group, name: str, array: Any) -> None:
    group.create_dataset(
        name, data=array, chunks=array.shape, compression="gzip", compression_opts=GZIP_LEVEL,
        shuffle=True,
    )  # fmt: skip
