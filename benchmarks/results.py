"""Run the benchmarks of speed and write what they print, with the machine, to RESULTS.md.

    python benchmarks/results.py FOLDER       FOLDER as ``transfer.py`` left it, of one repeat

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
SCRIPTS = ("cold_start.py", "speed.py", "scale.py")
WITH_FOLDER = ("speed.py", "scale.py")
VECTORS = ("avx512f", "avx2", "asimd")
PACKAGES = ("torch", "numpy", "scipy")


def main() -> None:
    """Run everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    folder = parser.parse_args().folder
    kept = PAGE.read_text(encoding="utf-8").partition(KEPT)[2] if PAGE.is_file() else "\n"
    parts = ["# Speed, as measured", _machine()]
    for script in SCRIPTS:
        arguments = [folder] if script in WITH_FOLDER else []
        path = str(PAGE.with_name(script))
        command = [sys.executable, path, *arguments]
        ran = subprocess.run(command, check=True, capture_output=True, text=True)
        parts.append(f"## `{script}`\n\n```text\n{ran.stdout.strip()}\n```")
    PAGE.write_text("\n\n".join(parts) + f"\n\n{KEPT}{kept}", encoding="utf-8")


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
        f"Python {platform.python_version()}, {versions}."
    )


if __name__ == "__main__":
    main()
