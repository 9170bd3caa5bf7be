"""Follows a page word for word: python docs/follow.py docs/plugins.md FOLDER.

Blocks of ``sh`` are run in the folder, blocks with ``file=`` are written there, and all the rest is
only shown. A block that shall not be run says why, in its first line.
"""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what else its first line says, and its text."""

    language: str
    note: str
    text: str

    @property
    def file(self) -> str:
        """Where it is to be written, empty if nowhere."""
        return self.note.removeprefix("file=") if self.note.startswith("file=") else ""

    @property
    def is_run(self) -> bool:
        """Whether it holds commands to run."""
        return self.language == "sh" and not self.note


def blocks(page: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page in order."""
    for language, note, text in FENCE.findall(page):
        yield Block(language, note.strip(), text)


def follow(page: str, folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Do what a page says, and yield the transcript, command by command.

    Raises:
        RuntimeError: a command failed; the message holds what it said.
    """
    for block in blocks(page):
        if block.file:
            (folder / block.file).write_text(block.text, encoding="utf-8")
            yield f"# wrote {block.file}\n"
        elif block.is_run:
            for command in block.text.strip().splitlines():
                yield f"$ {command}\n{_run(command, folder, environment)}"


def _run(command: str, folder: Path, environment: Mapping[str, str] | None) -> str:
    ended = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"{command}\nended with {ended.returncode}:\n{ended.stdout}")
    return ended.stdout


if __name__ == "__main__":
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    for part in follow(text, Path(sys.argv[2])):
        sys.stdout.write(part)
        sys.stdout.flush()
