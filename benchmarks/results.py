"""Run the benchmarks of speed and write what they print, with the machine, to RESULTS.md.

    python benchmarks/results.py FOLDER [--peers ENVIRONMENT]

FOLDER is as ``transfer.py`` left it, of one repeat. With ENVIRONMENT, where one for peers is or
shall be made, our step is also timed beside theirs (``speed.py --peers``). How busy the machine was
is said on the page. What ``scale.py`` measured before in FOLDER is kept.
What stands in RESULTS.md below the line "## Read with care" is written by hand and kept.
"""

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).with_name("RESULTS.md")
KEPT = "## Read with care"
VECTORS = ("avx512f", "avx2", "asimd")
PACKAGES = ("torch", "numpy", "scipy")


def main() -> None:
    """Run everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--peers", metavar="ENVIRONMENT")
    options = parser.parse_args()
    kept = PAGE.read_text(encoding="utf-8").partition(KEPT)[2] if PAGE.is_file() else "\n"
    parts = ["# Speed, as measured"]
    for script, *arguments in _runs(options.folder, options.peers):
        command = [sys.executable, str(PAGE.with_name(script)), *arguments]
        ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        name = " ".join([script, *(one for one in arguments if one.startswith("--"))])
        parts.append(f"## `{name}`\n\n```text\n{ran.stdout.strip()}\n```")
    parts.insert(1, _machine())
    PAGE.write_text("\n\n".join(parts) + f"\n\n{KEPT}{kept}", encoding="utf-8")


def _runs(folder: str, peers: str | None) -> list[list[str]]:
    """Return scripts and their arguments, in the order of the page."""
    beside_peers = [["speed.py", "--peers", peers]] if peers else []
    return [
        ["cold_start.py"],
        ["speed.py", folder],
        ["speed.py", "--batches"],
        *beside_peers,
        ["scale.py", folder],
    ]


def _machine() -> str:
    """Return the machine in general words."""
    from importlib.metadata import version

    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8") if sys.platform == "linux" else ""
    vectors = next((one for one in VECTORS if one in flags), "unknown vectors")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{one} {version(one)}" for one in PACKAGES)
    return (
        "Written by `python benchmarks/results.py FOLDER`. Machine: "
        f"{os.cpu_count()} cores, {platform.machine()} with {vectors}, {memory:.0f} GB; "
        f"Python {platform.python_version()}, {versions}; "
        f"{os.getloadavg()[0]:.1f} processes wanted a core as it ended."
    )


if __name__ == "__main__":
    main()
