"""The JSON file of an exported cohort: what belongs to no single sample, and the file names."""

import json
from dataclasses import dataclass
from typing import Any

from qctkit import schema
from qctkit.cohort import Record
from qctkit.errors import InputError
from qctkit.store.table import fingerprint
from qctkit.subject import ATTRIBUTES, SUBJECT_ID_PATTERN, Attribute, know
from qctkit.window import Window

MANIFEST = "cohort.json"
MANIFEST_FORMAT = "qctkit-exported-cohort"
MANIFEST_VERSION = 1
ENDINGS = (".nii.gz", ".nrrd")


@dataclass(frozen=True)
class Manifest:
    """An exported cohort without its samples.

    Attributes:
        ending: of the image files, with its dot.
        sample_ids: in order.
        checksums: of the samples as they were exported.
        run, window, refused: as of the cohort.
        attributes: those of its subjects that the core does not know.
    """

    ending: str
    sample_ids: tuple[str, ...]
    checksums: tuple[str, ...]
    run: Record
    window: Window
    refused: tuple[Record, ...]
    attributes: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the JSON text."""
        record = {
            "format": MANIFEST_FORMAT,
            "version": MANIFEST_VERSION,
            "images": self.ending,
            "samples": [
                {"sample_id": sample_id, schema.SHA256: sha256}
                for sample_id, sha256 in zip(self.sample_ids, self.checksums, strict=True)
            ],
            "fingerprint": fingerprint(self.checksums),
            "run": self.run,
            "window_hu": [self.window.low_hu, self.window.high_hu],
            "refused": self.refused,
        }
        if self.attributes:
            record["attributes"] = [dict(ATTRIBUTES[name].record()) for name in self.attributes]
        return json.dumps(record, indent=1, sort_keys=True) + "\n"


def is_manifest(text: str) -> bool:
    """Whether a text claims to be a manifest, of whatever version."""
    try:
        record = json.loads(text)
    except ValueError:
        return False
    return isinstance(record, dict) and record.get("format") == MANIFEST_FORMAT


def read_manifest(text: str) -> Manifest:
    """Return what ``Manifest.text`` wrote.

    Raises:
        InputError: it is damaged, or of another format or version.
    """
    try:
        record = json.loads(text)
        found = record["format"], record["version"]
        if found == (MANIFEST_FORMAT, MANIFEST_VERSION) and record["images"] in ENDINGS:
            return _manifest(record)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{MANIFEST} is damaged; export the cohort again") from error
    raise InputError(
        f"{MANIFEST} is not of format {MANIFEST_FORMAT} {MANIFEST_VERSION}; export the cohort "
        "again with this version of qctkit"
    )


def image_name(sample_id: str, kind: str, ending: str) -> str:
    """Return the file name of a sample's ``volume``, ``mask`` or ``region``."""
    return f"{sample_id}{'' if kind == schema.VOLUME else '_' + kind}{ending}"


def sidecar_name(sample_id: str) -> str:
    """Return the file name of a sample's JSON text."""
    return f"{sample_id}.json"


def _manifest(record: dict[str, Any]) -> Manifest:
    low, high = record["window_hu"]
    sample_ids = tuple(str(one["sample_id"]) for one in record["samples"])
    # Ids become file names: nothing outside the folder is ever read.
    if not all(SUBJECT_ID_PATTERN.fullmatch(sample_id) for sample_id in sample_ids):
        raise ValueError("a sample_id is not a plain identifier")
    # The samples are read by what is known.
    know(Attribute(**one) for one in record.get("attributes", ()))
    return Manifest(
        ending=record["images"],
        sample_ids=sample_ids,
        checksums=tuple(str(one[schema.SHA256]) for one in record["samples"]),
        run=dict(record["run"]),
        window=Window(float(low), float(high)),
        refused=tuple(record["refused"]),
        attributes=tuple(one["name"] for one in record.get("attributes", ())),
    )
