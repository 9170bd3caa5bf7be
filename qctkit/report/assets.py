"""Styles and scripts that go into pages whole, so that a page needs nothing else."""

import importlib.resources


def asset(name: str, package: str = "qctkit.report") -> str:
    """Return the text of a file that lies in a package."""
    return importlib.resources.files(package).joinpath(name).read_text("utf-8")
