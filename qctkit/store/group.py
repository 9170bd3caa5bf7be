"""An encoded sample as an HDF5 group, and back."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py

from qctkit import schema
from qctkit.cohort import Record
from qctkit.errors import CohortFileError
from qctkit.store.encode import Array, Encoded, Value, to_json
from qctkit.subject import ATTRIBUTES, Attribute, know

GZIP_LEVEL = 4
CHUNK = 32
"""Voxels a chunk's side. Cubes serve slices in all three planes alike: ``benchmarks/store.py``."""


def write_group(group: h5py.Group, stored: Encoded, sha256: str) -> None:
    """Write an encoded sample and its checksum into an empty group."""
    for name, value in stored.attributes.items():
        group.attrs[name] = value
    for name, voxels in stored.images.items():
        _write_image(group, name, voxels)
    for name, text in stored.texts.items():
        group.create_dataset(name, data=text, dtype=h5py.string_dtype())
    if stored.parameters is not None:
        parameters = group.create_group(schema.PARAMETERS)
        for name, values in stored.parameters.items():
            parameters.create_dataset(name, data=values)
    group.attrs[schema.SHA256] = sha256


def read_group(group: h5py.Group) -> tuple[Encoded, str]:
    """Return what a sample's group holds, and the checksum that it states."""
    attributes: dict[str, Value] = dict(group.attrs)
    stated = str(attributes.pop(schema.SHA256))
    images: dict[str, Array] = {}
    texts: dict[str, str] = {}
    parameters: dict[str, Array] | None = None
    for name, item in group.items():
        if name == schema.PARAMETERS:
            parameters = {key: values[()] for key, values in item.items()}
        elif h5py.check_string_dtype(item.dtype):
            texts[name] = item.asstr()[()]
        else:
            images[name] = item[()]
    return Encoded(attributes, images, parameters, texts), stated


def write_json(group: h5py.Group, name: str, value: Record) -> None:
    """Write a value as JSON text; NaN and infinity are refused."""
    group.create_dataset(name, data=to_json(value), dtype=h5py.string_dtype())


def read_json(group: h5py.Group, name: str) -> Any:
    """Return a value written by ``write_json``."""
    return json.loads(group[name].asstr()[()])


def write_attributes(file: h5py.File, names: Sequence[str]) -> None:
    """Write the definitions of attributes that the core does not know; nothing where all are."""
    if names:
        records = [dict(ATTRIBUTES[name].record()) for name in names]
        file.create_dataset(schema.ATTRIBUTES, data=to_json(records), dtype=h5py.string_dtype())


def read_attributes(file: h5py.File) -> tuple[Attribute, ...]:
    """Return the attributes that a file defines, which are known from then on.

    Raises:
        InputError: a definition is none, or that of another quantity than one that is known.
    """
    records = read_json(file, schema.ATTRIBUTES) if schema.ATTRIBUTES in file else []
    defined = tuple(Attribute(**one) for one in records)
    know(defined)
    return defined


def write_texts(group: h5py.Group, name: str, texts: list[str]) -> None:
    """Write a column of texts."""
    group.create_dataset(name, (len(texts),), dtype=h5py.string_dtype(), data=texts)


def links_out(group: h5py.Group, *, deep: bool = True) -> Iterator[str]:
    """Give, in words, everything in a group that reaches outside the file; nothing is followed."""
    for name in group:
        where = f"{group.name.rstrip('/')}/{name}"
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            yield f"{where} is a link"
            continue
        child = group[name]
        if isinstance(child, h5py.Dataset) and (child.is_virtual or child.external):
            yield f"{where} keeps its data in another file"
        elif deep and isinstance(child, h5py.Group):
            yield from links_out(child)


def refuse_links_out(group: h5py.Group, path: Path, *, deep: bool = True) -> None:
    """Refuse anything in a group that reaches outside the file, or that is not a plain object.

    Raises:
        CohortFileError: a soft or external link, a virtual dataset or external storage.
    """
    for words in links_out(group, deep=deep):
        raise CohortFileError(f"{path}: {words}; refused")


def sample_group(file: h5py.File, sample_id: str, path: Path) -> h5py.Group:
    """Return the group of a sample, in which nothing reaches outside the file.

    Raises:
        CohortFileError: there is none, or it is a link or holds one.
    """
    samples = file[schema.SAMPLES]
    link = samples.get(sample_id, getlink=True)
    if link is None:
        raise CohortFileError(f"{path} is damaged: it has no /samples/{sample_id}")
    if not isinstance(link, h5py.HardLink):
        raise CohortFileError(f"{path}: /samples/{sample_id} is a link; refused")
    refuse_links_out(samples[sample_id], path)
    return samples[sample_id]


def _write_image(group: h5py.Group, name: str, voxels: Array) -> None:
    group.create_dataset(
        name,
        data=voxels,
        chunks=tuple(min(CHUNK, length) for length in voxels.shape),
        compression="gzip",
        compression_opts=GZIP_LEVEL,
        shuffle=True,
    )
