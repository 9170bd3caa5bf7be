"""Everything of a sample but its images as one JSON text: what image formats cannot hold exactly.

Beside exported images it lets the sample come back equal, to the checksum. It states a digest of
each image, so that an image that a user has edited since is known.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qctkit import schema
from qctkit.cohort import MaskOrigin
from qctkit.errors import InputError
from qctkit.store.encode import Array, Encoded, Value, to_json
from qctkit.subject import ATTRIBUTES, CORE

SIDECAR_FORMAT = "qctkit-exported-sample"
SIDECAR_VERSION = 1
EDITED = "edited_after_export"
"""Name in the provenance under which images that were edited after an export are listed."""
MASK_DOUBTS = "mask_doubts"
"""Name in the provenance under which stands what the segmentation doubts about its own mask."""

_TEXTS = (schema.PROVENANCE, schema.TRUTH, schema.SYNTHESIS)


@dataclass(frozen=True, eq=False)
class Sidecar:
    """A sample without its images.

    Attributes:
        attributes, texts, parameters: as of ``Encoded``.
        digests: of each image as it was exported, by name.
    """

    attributes: Mapping[str, Value]
    texts: Mapping[str, str]
    parameters: Mapping[str, Array] | None
    digests: Mapping[str, str]

    def with_images(self, images: Mapping[str, Array]) -> Encoded:
        """Return the sample with its images; an image that differs from what was exported wins.

        Such an image is listed in the provenance. An edited mask is one given by the user, and what
        was doubtful about the one before it is no longer said.

        Args:
            images: ``volume``, ``mask`` and, of a made sample, ``region``, ``(D, H, W)``.
        """
        edited = [name for name, voxels in images.items() if _digest(voxels) != self.digests[name]]
        attributes, texts = dict(self.attributes), dict(self.texts)
        if schema.MASK in edited:
            attributes["mask_origin"] = str(MaskOrigin.GIVEN)
        if edited:
            provenance = json.loads(texts[schema.PROVENANCE])
            if schema.MASK in edited:
                provenance.pop(MASK_DOUBTS, None)
            provenance[EDITED] = sorted({*edited, *provenance.get(EDITED, ())})
            texts[schema.PROVENANCE] = to_json(provenance)
        return Encoded(attributes, images, self.parameters, texts)


def sidecar_text(stored: Encoded) -> str:
    """Return a sample's JSON text, for people as well as for ``read_sidecar``."""
    record: dict[str, Any] = {
        "format": SIDECAR_FORMAT,
        "version": SIDECAR_VERSION,
        "attributes": dict(stored.attributes),
        "images": {name: _digest(voxels) for name, voxels in stored.images.items()},
        **{name: json.loads(text) for name, text in stored.texts.items()},
    }
    if stored.parameters is not None:
        record[schema.PARAMETERS] = {
            name: {"shape": values.shape, "float32": _base64(values)}
            for name, values in stored.parameters.items()
        }
    return json.dumps(record, indent=1, sort_keys=True, default=_as_list) + "\n"


def read_sidecar(text: str) -> Sidecar:
    """Return what ``sidecar_text`` wrote.

    Raises:
        InputError: it is damaged, or of another format or version.
    """
    try:
        record = json.loads(text)
        found = record["format"], record["version"]
        if found == (SIDECAR_FORMAT, SIDECAR_VERSION):
            return _sidecar(record)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError("a sample's JSON file is damaged; export the cohort again") from error
    raise InputError(
        f"a sample's JSON file is not of format {SIDECAR_FORMAT} {SIDECAR_VERSION}; export the "
        "cohort again with this version of qctkit"
    )


def _sidecar(record: Mapping[str, Any]) -> Sidecar:
    attributes = {name: _attribute(name, value) for name, value in record["attributes"].items()}
    parameters = record.get(schema.PARAMETERS)
    if parameters is not None:
        parameters = {
            name: np.frombuffer(base64.b64decode(one["float32"]), "<f4").reshape(one["shape"])
            for name, one in parameters.items()
        }
    texts = {name: to_json(record[name]) for name in _TEXTS if name in record}
    return Sidecar(attributes, texts, parameters, record["images"])


def _attribute(name: str, value: Any) -> Value:
    of_plugin = [one for one in ATTRIBUTES if one not in CORE]
    kind, _ = schema.sample_attributes(of_plugin)[name]
    return str(value) if kind == "text" else np.array(value, dtype=kind)[()]


def _as_list(value: np.generic | Array) -> Any:
    return value.tolist()


def _digest(voxels: Array) -> str:
    """Return what names an image: type, shape and voxels."""
    array = np.ascontiguousarray(voxels, voxels.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{array.dtype.name} {array.shape}".encode())
    digest.update(array.data)
    return digest.hexdigest()


def _base64(values: Array) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()
