"""What in a cohort file is not as its format says: objects, attributes, types, numbers of axes."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import h5py
import numpy as np

from qctkit import schema
from qctkit.store.group import read_attributes

ROOT_OBJECTS = (schema.RUN, schema.TABLE, schema.SAMPLES)
_PARAMETER = f"{schema.PARAMETERS}/<name>"


def file_problems(file: h5py.File) -> Iterator[str]:
    """Give what is wrong with everything but the samples, in words."""
    others = [one.name for one in read_attributes(file)]
    version = schema.format_version(others)
    if file.attrs["format_version"] != version:
        yield f"format_version is not {version}, that of its attributes"
    yield from _names("/", set(file), set(ROOT_OBJECTS), {schema.REFUSED, schema.ATTRIBUTES})
    yield from _names("attributes of /", set(file.attrs), set(schema.FILE_ATTRIBUTES))
    for name, kind in schema.FILE_ATTRIBUTES.items():
        if name in file.attrs:
            yield from _type(f"attribute {name} of /", file.attrs[name], kind, 0)
    yield from _type("/run", file.get(schema.RUN), "text", 0)
    if schema.REFUSED in file:
        yield from _type("/refused", file[schema.REFUSED], "text", 1)
    table = file[schema.TABLE]
    columns = schema.table_columns(others)
    yield from _names("/table", set(table), set(columns))
    for name, kind in columns.items():
        if name in table:
            yield from _type(f"/table/{name}", table[name], kind, 1)
    in_table = set(table["sample_id"].asstr()[()])
    yield from _names("/samples", set(file[schema.SAMPLES]), in_table)


def sample_problems(group: h5py.Group, others: Iterable[str] = ()) -> Iterator[str]:
    """Give what is wrong with the objects and attributes of one sample, in words.

    ``others`` are the attributes that the file defines.
    """
    attributes = schema.sample_attributes(others)
    together = schema.optional_together(others)
    present = set(group) | {f"@{name}" for name in group.attrs}
    optional = {name for row in together for name in row}
    datasets = {name.split("/")[0] for name in schema.SAMPLE_DATASETS}
    known = datasets | {f"@{name}" for name in attributes}
    yield from _names(group.name, present, known - optional, optional)
    for row in together:
        missing = [name for name in row if name not in present]
        if 0 < len(missing) < len(row):
            yield f"{group.name} has only some of {', '.join(row)}: {', '.join(missing)} missing"
    for name, (kind, shape) in attributes.items():
        if name in group.attrs:
            where = f"attribute {name} of {group.name}"
            yield from _type(where, group.attrs[name], kind, len(shape), shape)
    for name, item in _datasets(group).items():
        kind, axes = schema.SAMPLE_DATASETS[name if name in schema.SAMPLE_DATASETS else _PARAMETER]
        yield from _type(f"{group.name}/{name}", item, kind, axes)


def _datasets(group: h5py.Group) -> Mapping[str, Any]:
    """Return the objects of a sample whose types the format states, by name."""
    found = {name: group[name] for name in schema.SAMPLE_DATASETS if name in group}
    parameters = group.get(schema.PARAMETERS)
    if isinstance(parameters, h5py.Group):
        found |= {f"{schema.PARAMETERS}/{name}": item for name, item in parameters.items()}
    elif parameters is not None:
        found[schema.PARAMETERS] = parameters  # a dataset where a group should be
    return found


def _names(
    where: str, present: set[str], required: set[str], optional: set[str] | None = None
) -> Iterator[str]:
    for name in sorted(required - present):
        yield f"{where}: {name} is missing"
    for name in sorted(present - required - (optional or set())):
        yield f"{where}: {name} is not of this format"


def _type(
    where: str, item: Any, kind: str, axes: int | None, shape: tuple[int, ...] = ()
) -> Iterator[str]:
    if item is None:
        return
    found = _kind(item)
    if found not in kind.split(" or "):
        yield f"{where} is {found}, not {kind}"
        return
    lengths = np.shape(item)
    if (axes is not None and len(lengths) != axes) or (shape and lengths != shape):
        wanted = "x".join(map(str, shape)) if shape else f"{axes} axes"
        yield f"{where} has shape {'x'.join(map(str, lengths)) or 'scalar'}, not {wanted}"


def _kind(item: Any) -> str:
    if isinstance(item, str):
        return "text"
    if isinstance(item, h5py.Group):
        return "a group"
    dtype = getattr(item, "dtype", None)
    if dtype is None:
        return type(item).__name__
    return "text" if h5py.check_string_dtype(dtype) else str(dtype.name)
