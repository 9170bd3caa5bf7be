"""A cohort as NRRD files, as 3D Slicer reads and writes them, with tables beside them."""

from collections.abc import Sequence
from pathlib import Path

from qctkit.cohort import Cohort
from qctkit.exporters.folder import ImageFormat, export_folder
from qctkit.exporters.nrrd_file import write_mask, write_volume

NRRD = ImageFormat(".nrrd", write_volume, write_mask)


class NrrdExporter:
    """Writes volumes, femur masks and regions as ``.nrrd``, with tables and JSON files."""

    name = "nrrd"

    def export(self, cohort: Cohort, folder: Path, *, overwrite: bool) -> Sequence[Path]:
        """Write the cohort below the folder and return the files; see ``export_folder``."""
        return export_folder(cohort, folder, NRRD, overwrite=overwrite)
