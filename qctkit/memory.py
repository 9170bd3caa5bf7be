"""How much memory this machine, or what limits this process on it, leaves for a run."""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

GB = 1e9
MB = 2**20

MEMINFO = Path("/proc/meminfo")
CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Room:
    """Memory that all processes of a run may hold together, and what sets that limit."""

    bytes: float
    limited_by: str

    @property
    def words(self) -> str:
        """What there is, in words."""
        return f"{self.limited_by} leaves {self.bytes / GB:.1f} GB"


def room(environment: Mapping[str, str] = os.environ) -> Room | None:
    """Return the least of all that limits this process; None where nothing is known.

    Looked at are the memory that the machine has free, the control groups that the process is in
    (as containers and batch systems set them), and what SLURM granted on this node. What the
    process holds already counts as its own.
    """
    found = [*_machine(), *_groups(), *_slurm(environment)]
    return min(found, key=lambda one: one.bytes, default=None)


def held_bytes() -> float:
    """Return what this process holds in memory now; its peak where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return float(pages * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError, AttributeError):
        return peak_bytes()


def peak_bytes() -> float:
    """Return the most that this process ever held in memory; 0 where the system does not tell."""
    # What resource tells begins, under Linux, with what the process held that started this one.
    own = _fields(Path("/proc/self/status")).get("VmHWM:")
    if own is not None:
        return 1024.0 * own
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peak if sys.platform == "darwin" else 1024.0 * peak


def _machine() -> Iterator[Room]:
    fields = _fields(MEMINFO)
    if "MemAvailable:" in fields:
        yield Room(1024.0 * fields["MemAvailable:"] + held_bytes(), "the machine's free memory")


def _groups() -> Iterator[Room]:
    """Give the limits of this process's control groups, of version 2, and of those above them."""
    try:
        lines = OWN_GROUP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for own in (line.removeprefix("0::/") for line in lines if line.startswith("0::/")):
        for folder in (CGROUPS / own, *(CGROUPS / own).parents):
            limit = _number(folder / "memory.max")
            if limit is not None:
                # The system gives back files that it keeps in memory when it must.
                files = _fields(folder / "memory.stat").get("inactive_file", 0.0)
                used = (_number(folder / "memory.current") or 0.0) - files
                yield Room(limit - used + held_bytes(), "the control group's limit")
            if folder == CGROUPS:
                break


def _slurm(environment: Mapping[str, str]) -> Iterator[Room]:
    """Give what SLURM granted on this node, which it states in megabytes."""
    for name, times in (
        ("SLURM_MEM_PER_NODE", "1"),
        ("SLURM_MEM_PER_CPU", environment.get("SLURM_CPUS_ON_NODE", "1")),
    ):
        granted = environment.get(name, "")
        if granted.isdecimal() and times.isdecimal() and int(granted):
            yield Room(float(MB * int(granted) * int(times)), f"SLURM ({name})")


def _number(path: Path) -> float | None:
    """Return the number that a file holds; None where there is none, as for no limit."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return float(text) if text.isdecimal() else None


def _fields(path: Path) -> dict[str, float]:
    """Return the numbers of a file of lines of a name and a number."""
    try:
        rows = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    except OSError:
        return {}
    return {row[0]: float(row[1]) for row in rows if len(row) > 1 and row[1].isdecimal()}
