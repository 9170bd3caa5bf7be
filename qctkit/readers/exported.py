"""Folders that `qctkit convert` wrote, back to whole samples.

The JSON files hold exactly what images cannot; the images hold the voxels, and where a user has
edited one since, as a mask in a viewer, the edited image is taken.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qctkit import schema
from qctkit.cohort import Record, Sample
from qctkit.contracts import FoundScan
from qctkit.errors import InputError, ScanError
from qctkit.geometry import Geometry
from qctkit.readers.nifti import read_nifti_image
from qctkit.readers.nrrd import read_nrrd_image
from qctkit.store.encode import Array, decode, decode_subject
from qctkit.store.manifest import MANIFEST, image_name, is_manifest, read_manifest, sidecar_name
from qctkit.store.sidecar import Sidecar, read_sidecar
from qctkit.subject import Subject
from qctkit.volume import compact
from qctkit.window import Window

NRRD = ".nrrd"
GRID_TOLERANCE_MM = 1e-3
"""Most by which an image may seem to lie elsewhere: NIfTI holds its affine in float32."""


class ExportReader:
    """Reads folders of images that `qctkit convert` wrote."""

    name = "export"

    def claims(self, path: Path) -> bool:
        """Whether the path is a folder with the ``cohort.json`` of an exported cohort."""
        try:
            return path.is_dir() and is_manifest((path / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            return False

    def find(self, path: Path) -> Sequence[FoundScan]:
        """Return the samples of an exported cohort, in its order."""
        exported = ExportedCohort(path)
        if not exported.sample_ids:
            raise ScanError("the exported cohort has no samples")
        return tuple(
            FoundScan(
                f"sample {one} of an exported cohort",
                partial(_load, path, one, exported.ending),
                subject_id=exported.subject(one).subject_id,
            )
            for one in exported.sample_ids
        )


class ExportedCohort:
    """A folder that `qctkit convert` wrote, as a cohort again.

    Attributes:
        sample_ids: in order.
        ending: of the image files.
        run, window, refused: as of the cohort that was exported.

    Raises:
        InputError: the folder, or a sample when it is loaded, is not whole.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        manifest = read_manifest(_text(folder, MANIFEST))
        self.sample_ids = manifest.sample_ids
        self.ending = manifest.ending
        self.run: Record = manifest.run
        self.window: Window = manifest.window
        self.refused: tuple[Record, ...] = manifest.refused

    def subject(self, sample_id: str) -> Subject:
        """Return the subject of a sample; touches no voxels."""
        return decode_subject(_sidecar(self.folder, sample_id).attributes)

    def load(self, sample_id: str) -> Sample:
        """Return one sample with its voxels."""
        return _load(self.folder, sample_id, self.ending)

    def __iter__(self) -> Iterator[Sample]:
        return (self.load(sample_id) for sample_id in self.sample_ids)

    def __len__(self) -> int:
        return len(self.sample_ids)


def _load(folder: Path, sample_id: str, ending: str) -> Sample:
    """Return a sample from its JSON text and images.

    Raises:
        ScanError: a file is missing or damaged, or an image lies on another grid.
    """
    sidecar = _sidecar(folder, sample_id)
    images = {
        kind: _image(folder, image_name(sample_id, kind, ending), kind, sidecar)
        for kind in sidecar.digests
    }
    try:
        return decode(sidecar.with_images(images))
    except (KeyError, ValueError, TypeError) as error:
        raise ScanError(f"{sidecar_name(sample_id)} is damaged; export the cohort again") from error


def _sidecar(folder: Path, sample_id: str) -> Sidecar:
    sidecar = read_sidecar(_text(folder, sidecar_name(sample_id)))
    if sidecar.attributes.get("sample_id") != sample_id:
        raise ScanError(f"{sidecar_name(sample_id)} is of another sample; export the cohort again")
    return sidecar


def _text(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScanError(f"{name} is missing or cannot be read; export the cohort again") from error


def _image(folder: Path, name: str, kind: str, sidecar: Sidecar) -> Array:
    """Return the voxels ``(D, H, W)`` of an image on the sample's grid."""
    path = folder / name
    if not path.is_file():
        raise ScanError(f"{name} is missing; export the cohort again")
    try:
        image = read_nrrd_image(path) if path.suffix == NRRD else read_nifti_image(path)
        grid = image.geometry
        wanted = Geometry(grid.shape, np.asarray(sidecar.attributes["affine"]))
        if not grid.matches(wanted, GRID_TOLERANCE_MM):
            raise ScanError("it lies on another grid than the one exported; resample it to that")
        if len(image.layers) != 1:
            raise ScanError("expected one number per voxel")
        voxels = image.layers[0]
        return compact(voxels) if kind == schema.VOLUME else _mask(voxels)
    except InputError as error:
        raise ScanError(f"{name}: {error}") from error


def _mask(voxels: NDArray[np.generic]) -> NDArray[np.uint8]:
    labels = np.unique(voxels[voxels != 0])
    if len(labels) > 1:
        raise ScanError(f"a mask holds 0 and one other value, this one {len(labels)} others")
    return np.asarray(voxels != 0, dtype=np.uint8)
