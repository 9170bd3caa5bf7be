"""Writes the reference of hooks from the code: python docs/hooks.py (a test compares)."""

import inspect
import sys
from pathlib import Path
from typing import Any

from qctkit import hookspecs, plugin, testing
from qctkit.testing.contracts import CONTRACTS

PAGE = Path(__file__).with_name("hooks.md")

CONTRACT_OF = {
    "register_attributes": "Attribute",
    "register_readers": "Reader",
    "register_predictors": "PredictorFamily",
    "register_edits": "Edit",
    "register_transforms": "Transform",
    "register_losses": "LossTerm",
    "register_attribute_terms": "AttributeTerm",
    "register_validators": "Validator",
    "register_recipes": "Recipe",
    "register_exporters": "Exporter",
}
HEAD = f"""\
# Hooks and contracts

Made from the code by `python docs/hooks.py`; do not edit. [The tutorial](plugins.md) comes first.

This is plugin API {hookspecs.API_VERSION}. A plugin's module states the version that it was written
for, `QCTKIT_API = "{hookspecs.API_VERSION}"`; it loads where the major version is the same and the
minor version no newer. A minor version only adds. What a major version will take away is announced
in the changelog, and warned of for one minor version before: such a hook is marked here as
outdated, `qctkit plugins list` says which of your plugins use it and what to write instead, and a
name of `qctkit.plugin` gives a `PluginApiWarning` where it is asked for.

A hook is a function of the entry point's module, marked `@hookimpl` and named as below. A
`register_*` hook returns components, which carry their own name; it is called when one of its kind
is first needed, so what is imported inside it costs nothing before. An observer may ask for any of
the arguments shown; it is given copies, and what it returns is dropped.
"""


def page() -> str:
    """Return the page as Markdown."""
    parts = [HEAD]
    for name, function in vars(hookspecs).items():
        if hasattr(function, f"{hookspecs.PROJECT}_spec"):
            parts.append(_hook(name, function))
    parts.append(_names())
    parts.append(_checks())
    return "\n".join(parts).rstrip() + "\n"


def _hook(name: str, function: Any) -> str:
    signature = str(inspect.signature(function)).replace("'", "").replace('"', "")
    lines = [f"## `{name}{_plain(signature)}`\n", _docstring(function)]
    if name in hookspecs.DEPRECATED:
        lines.append(f"**Outdated:** {hookspecs.DEPRECATED[name].words(name)}.\n")
    if name in CONTRACT_OF:
        lines.append(_contract(getattr(plugin, CONTRACT_OF[name])))
    return "\n".join(lines)


def _contract(kind: type) -> str:
    lines = [f"**{kind.__name__}.** {_docstring(kind)}"]
    members = [one for one in vars(kind).items() if _is_member(*one)]
    if members:
        lines.append("Members:\n")
    for name, member in members:
        lines.append(f"- `{_signature(name, member)}`: {_first_line(member)}")
    return "\n".join(lines) + "\n"


def _is_member(name: str, member: object) -> bool:
    public = not name.startswith("_") or name == "__call__"
    written = isinstance(member, property) or inspect.isfunction(member)
    return public and written and bool(inspect.getdoc(member))


def _signature(name: str, member: Any) -> str:
    if isinstance(member, property):
        returned = inspect.signature(member.fget).return_annotation
        return f"{name}: {_plain(getattr(returned, '__name__', str(returned)))}"
    signature = inspect.signature(member)
    kept = [one for one in signature.parameters.values() if one.name != "self"]
    shown = _plain(str(signature.replace(parameters=kept)))
    return f"{name}{shown}"


def _plain(text: str) -> str:
    for prefix in ("typing.", "pathlib.", "collections.abc.", "'", '"'):
        text = text.replace(prefix, "")
    return text


def _names() -> str:
    lines = ["## `qctkit.plugin`\n", "| name | what it is |", "|---|---|"]
    for name in plugin.__all__:
        lines.append(f"| `{name}` | {_about(name)} |")
    return "\n".join(lines) + "\n"


def _about(name: str) -> str:
    if name == "API_VERSION":
        return f"the plugin API of this qctkit: {hookspecs.API_VERSION}"
    if name == "hookimpl":
        return "marks a function as a hook"
    if name == "Mask":
        return "a boolean array `(D, H, W)`"
    if name == "Record":
        return "a mapping of JSON values by name"
    return _first_line(getattr(plugin, name)).replace("|", "\\|")


def _checks() -> str:
    lines = [
        "## `qctkit.testing`\n",
        "Classes to inherit: set `component`, and pytest runs every check. `qctkit plugins check` "
        "runs the same.\n",
    ]
    for contract in CONTRACTS.values():
        lines.append(f"**{contract.__name__}.** {_docstring(contract)}")
        for name, check in vars(contract).items():
            if name.startswith("test_"):
                lines.append(f"- {_first_line(check)}")
        lines.append("")
    lines += ["| beside them | what it gives |", "|---|---|"]
    shown = set(CONTRACTS.values())
    for name in testing.__all__:
        value = getattr(testing, name)
        if value not in shown:
            lines.append(f"| `{name}` | {_first_line(value)} |")
    return "\n".join(lines) + "\n"


def _docstring(thing: object) -> str:
    text = (inspect.getdoc(thing) or "").replace("``", "`")
    first, _, rest = text.partition("\n")
    lines: list[str] = []
    section = ""
    for line in rest.splitlines():
        if line in ("Contract:", "Attributes:", "Args:", "Raises:"):
            section = line
            lines.append(f"{line}\n")
        elif section == "Contract:":
            lines.append(line.removeprefix("    "))
        elif section and line.startswith("    ") and not line.startswith("     "):
            names, _, about = line.strip().partition(": ")
            lines.append(f"- `{names}`: {about}")
        else:
            lines.append(line.removeprefix("      "))
    return "\n".join([first, *lines]).rstrip() + "\n"


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").splitlines()[0].replace("``", "`")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
    sys.stdout.write(f"{PAGE.name} written\n")
