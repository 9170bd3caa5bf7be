"""A new plugin as a distribution that installs and tests itself."""

import importlib.util
import keyword
import re
from pathlib import Path
from string import Template

import qctkit
from qctkit.errors import PluginError
from qctkit.hookspecs import API_VERSION
from qctkit.store.folder import ReplacedFolder

NAME_PATTERN = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

TEMPLATES = Path(__file__).parent / "templates"
ENDING = ".template"


def write_distribution(name: str, kind: str, folder: Path) -> tuple[Path, ...]:
    """Write a plugin of one kind into a new folder, and return its files.

    Args:
        name: of the distribution, its entry point and its component: "shell-density".
        kind: a folder of templates: predictor, loss, edit, validator or recipe.
        folder: what to make; it appears only when it is whole.

    Raises:
        PluginError: the name cannot be used, or is that of a module that is installed.
        OutputExistsError: the folder has something in it.
    """
    words = _words(name)
    written = []
    with ReplacedFolder(folder, overwrite=False) as partial:
        for template in _templates(kind):
            place = template.relative_to(TEMPLATES).parts[1:]
            path = Path(*(Template(part).substitute(words) for part in place))
            text = Template(template.read_text(encoding="utf-8")).substitute(words)
            target = partial / path.with_name(path.name.removesuffix(ENDING))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="\n")
            written.append(folder / target.relative_to(partial))
    return tuple(written)


def _words(name: str) -> dict[str, str]:
    """Return what stands for the placeholders of the templates."""
    if not NAME_PATTERN.fullmatch(name):
        raise PluginError(
            f"{name!r} is no name for a plugin; expected lower-case letters, digits and single "
            "hyphens, beginning with a letter: shell-density"
        )
    module = name.replace("-", "_")
    if keyword.iskeyword(module) or importlib.util.find_spec(module) is not None:
        raise PluginError(f"{name!r} would be imported as {module}, which is taken; choose another")
    return {
        "name": name,
        "module": module,
        "component": "".join(part.capitalize() for part in name.split("-")),
        "api": API_VERSION,
        "version": qctkit.__version__,
    }


def _templates(kind: str) -> list[Path]:
    return sorted(
        path for folder in ("common", kind) for path in (TEMPLATES / folder).rglob(f"*{ENDING}")
    )
