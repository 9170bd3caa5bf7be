"""What installed plugins cost: python benchmarks/plugins.py --plugins 50 --rounds 15.

Writes distributions as they lie in site-packages, each a module that registers a predictor (whose
hook imports torch) and a command, and times `qctkit --help` with and without them, in turns.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODULE = """\
from collections.abc import Sequence

import click

from qctkit.plugin import PredictorFamily, hookimpl

QCTKIT_API = "1.0"


@hookimpl
def register_predictors() -> Sequence[PredictorFamily]:
    import torch

    return ()


@hookimpl
def register_commands() -> Sequence[click.Command]:
    return (click.Command("do-{number}", help="Do it."),)
"""
HEAVY = ("numpy", "scipy", "torch", "h5py")


def main() -> None:
    """Print the time of `qctkit --help` without and with plugins, and what heavy was loaded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plugins", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        site = Path(name)
        install(site, asked.plugins)
        help_text, loaded = help_with(site)
        assert help_text.count("do-") == asked.plugins, help_text
        without, with_them = times(site, asked.rounds)
    alone, among = 1000 * statistics.median(without), 1000 * statistics.median(with_them)
    fastest = 1000 * (min(with_them) - min(without))
    print(f"qctkit --help, medians of {asked.rounds} rounds in turns:")
    print(f"  without plugins of this kind  {alone:6.0f} ms")
    print(f"  with {asked.plugins} of them               {among:6.0f} ms")
    print(f"  they add {among - alone:.0f} ms (by the fastest rounds {fastest:.0f} ms)")
    print(f"  heavy libraries loaded: {', '.join(loaded) or 'none'}")


def install(site: Path, count: int) -> None:
    """Write distributions of one module each below a folder."""
    for number in range(count):
        (site / f"planted_{number}.py").write_text(MODULE.format(number=number))
        info = site / f"planted_{number}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: planted-{number}\nVersion: 1.0\n"
        )
        (info / "entry_points.txt").write_text(f"[qctkit]\nplanted-{number} = planted_{number}\n")


def help_with(site: Path) -> tuple[str, list[str]]:
    """Return what `qctkit --help` prints with the plugins, and which heavy libraries it loaded."""
    script = (
        "import sys; from qctkit.cli.main import run; run(['--help']); "
        "print(*sys.modules, file=sys.stderr)"
    )
    ended = _python(["-c", script], str(site))
    return ended.stdout, [one for one in HEAVY if one in ended.stderr.split()]


def times(site: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Return seconds of `qctkit --help` without and with the plugins, but for the first of each.

    In turns, so that what else the machine does hits both alike.
    """
    without, with_them = [], []
    for _ in range(rounds + 1):
        without.append(_seconds(""))
        with_them.append(_seconds(str(site)))
    return without[1:], with_them[1:]


def _seconds(path: str) -> float:
    began = time.perf_counter()
    _python(["-m", "qctkit", "--help"], path)
    return time.perf_counter() - began


def _python(arguments: list[str], path: str) -> subprocess.CompletedProcess[str]:
    paths = [one for one in (path, os.environ.get("PYTHONPATH", "")) if one]
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=True,
    )


if __name__ == "__main__":
    main()
