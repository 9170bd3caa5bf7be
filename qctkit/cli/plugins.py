"""``qctkit plugins``."""

import click


@click.group(name="plugins")
def command() -> None:
    """See which plugins were found and what they offer."""


@command.command(name="list")
def list_plugins() -> None:
    """List plugins, and the recipes that --plugin can select.

    \b
    Example:
        qctkit plugins list
    """
    from qctkit.registry import load_registry

    registry = load_registry()
    for plugin in registry.plugins:
        state = f"broken: {plugin.problem}" if plugin.problem else "loaded"
        click.echo(f"{plugin.name} ({plugin.distribution} {plugin.version}): {state}")
    for name in registry.names("recipes"):
        click.echo(f"recipe {name}: {registry.recipe(name).account}")
