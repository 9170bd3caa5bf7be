"""The registry of the plugins that the command line selects."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from qctkit.registry import Registry


def chosen_registry(context: click.Context | None = None, *, quiet: bool = False) -> "Registry":
    """Return the plugins that ``--no-plugins`` and ``QCTKIT_PLUGINS`` leave, found once a call.

    Args:
        context: of the command; None takes the one that runs.
        quiet: do not tell of broken plugins on stderr, since the command shows them itself.

    Raises:
        PluginError: a plugin is selected that is not installed.
    """
    from qctkit.registry import load_registry

    root = (context or click.get_current_context()).find_root()
    if root.obj is None:
        only = () if root.params.get("no_plugins") else None
        root.obj = load_registry(only=only, say=_silent if quiet else _told)
    registry: Registry = root.obj
    return registry


def _told(text: str) -> None:
    click.echo(text, err=True)


def _silent(text: str) -> None:
    """Show nothing."""
