"""Time and memory of a call."""

import statistics
import sys
import time
from collections.abc import Callable

try:
    import resource
except ImportError:  # Windows has no such module
    resource = None  # type: ignore[assignment]

CALLS = 3


def cost_in_words(call: Callable[[], object]) -> str:
    """Return the median time of three calls, and by how much they raised the process's peak."""
    before = _peak_mb()
    seconds = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    after = _peak_mb()
    memory = (
        "" if after is None or before is None else f", {after - before:.0f} MB more at its peak"
    )
    return f"{1000 * statistics.median(seconds):.1f} ms a call{memory}"


def _peak_mb() -> float | None:
    if resource is None:
        return None
    # Bytes on macOS, units of 1024 bytes on Linux.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
