"""A cohort as NIfTI files with tables beside them."""

from collections.abc import Sequence
from pathlib import Path

from qctkit.cohort import Cohort
from qctkit.exporters.folder import ImageFormat, export_folder
from qctkit.exporters.nifti_file import write_mask, write_volume

NIFTI = ImageFormat(".nii.gz", write_volume, write_mask)


class NiftiExporter:
    """Writes volumes, femur masks and regions as ``.nii.gz``, with tables and JSON files."""

    name = "nifti"

    def export(self, cohort: Cohort, folder: Path, *, overwrite: bool) -> Sequence[Path]:
        """Write the cohort below the folder and return the files; see ``export_folder``."""
        return export_folder(cohort, folder, NIFTI, overwrite=overwrite)
