"""How soon does a command answer: fresh interpreters against one that does nothing.

Each round starts every command once, in turns, so that a busy neighbour slows all alike. Times are
wall-clock medians over rounds; a ratio is the median over rounds of a command's time over that of
`python -c pass` in the same round, with its middle half. The bar is `--help` at 5 times.

    python benchmarks/cold_start.py [--rounds 21]
"""

import argparse
import subprocess
import sys
import time

import numpy as np

BARE = "python -c pass"
COMMANDS = {
    BARE: ["-c", "pass"],
    "import click": ["-c", "import click"],
    "qctkit --version": ["-m", "qctkit", "--version"],
    "qctkit augment --help": ["-m", "qctkit", "augment", "--help"],
    "qctkit --no-plugins --help": ["-m", "qctkit", "--no-plugins", "--help"],
    "qctkit --help": ["-m", "qctkit", "--help"],
    "import of qctkit predict": ["-c", "import qctkit.pipeline.predict"],
    "import torch": ["-c", "import torch"],
    "import of qctkit augment": ["-c", "import qctkit.pipeline.augment"],
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    rounds = parser.parse_args().rounds
    seconds = np.array([[_seconds(one) for one in COMMANDS.values()] for _ in range(rounds)])
    ratios = seconds / seconds[:, :1]
    print(f"{'command':<28}{'ms':>8}{'times bare python (middle half)':>36}")
    for name, took, ratio in zip(COMMANDS, seconds.T, ratios.T, strict=True):
        low, middle, high = np.quantile(ratio, [0.25, 0.5, 0.75])
        spread = f"{middle:.2f} ({low:.2f} to {high:.2f})"
        print(f"{name:<28}{1e3 * np.median(took):>8.0f}{spread:>36}")


def _seconds(arguments: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
