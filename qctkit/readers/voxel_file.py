"""The bytes of voxels behind or beside a text header."""

import zlib
from collections.abc import Iterator
from pathlib import Path

from qctkit.errors import ScanError

CHUNK_BYTES = 1 << 22
EITHER_WRAPPER = zlib.MAX_WBITS | 32
"""Accept the zlib and the gzip format."""


def beside(header: Path, name: str) -> Path:
    """Return the file of voxels that a header names.

    Raises:
        ScanError: it is not there, or not one plain file in the header's folder.
    """
    if name.split()[:1] == ["LIST"] or "%" in name or Path(name) != Path(Path(name).name):
        raise ScanError(
            "the header points to voxels in several files or in another folder; convert the scan "
            "to one file"
        )
    if not (header.parent / name).is_file():
        raise ScanError(
            "the file of voxels that the header names is missing; put it beside the header, under "
            "the name that the header gives"
        )
    return header.parent / name


def unpacked(path: Path, start: int) -> Iterator[bytes]:
    """Give what the zlib or gzip stream from a position of a file holds, in chunks.

    Raises:
        zlib.error: the stream is damaged, by its checksum too, or ends early.
    """
    unpacker = zlib.decompressobj(EITHER_WRAPPER)
    with path.open("rb") as stream:
        stream.seek(start)
        while not unpacker.eof:
            chunk = unpacker.unconsumed_tail or stream.read(CHUNK_BYTES)
            if not chunk:
                raise zlib.error("the stream ends early")
            yield unpacker.decompress(chunk, CHUNK_BYTES)
