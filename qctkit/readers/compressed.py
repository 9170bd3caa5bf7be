"""Whether compressed voxels are whole, which ITK does not always find out."""

import zlib
from pathlib import Path

CHUNK_BYTES = 1 << 22
EITHER_WRAPPER = zlib.MAX_WBITS | 32
"""Accept the zlib and the gzip format."""


def unpacked_bytes(path: Path, start: int) -> int:
    """Return how many bytes the zlib or gzip stream from a position of a file unpacks to.

    Raises:
        zlib.error: the stream is damaged, by its checksum too, or ends early.
    """
    unpacker = zlib.decompressobj(EITHER_WRAPPER)
    total = 0
    with path.open("rb") as stream:
        stream.seek(start)
        while not unpacker.eof:
            chunk = unpacker.unconsumed_tail or stream.read(CHUNK_BYTES)
            if not chunk:
                raise zlib.error("the stream ends early")
            total += len(unpacker.decompress(chunk, CHUNK_BYTES))
    return total
