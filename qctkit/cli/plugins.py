"""``qctkit plugins``: see, make and check plugins."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qctkit.cli.chosen import chosen_registry
from qctkit.cli.options import json_option

if TYPE_CHECKING:
    from qctkit.registry import Registry

ACCOUNTS = ("account", "short_help", "allowed")
"""Where recipes and edits, commands, and attributes say in words what they are."""

NEW_KINDS = ("predictor", "loss", "edit", "validator", "recipe")


@click.group(name="plugins")
def command() -> None:
    """See which plugins were found, make a new one, and check one against its contracts.

    \b
    Example:
        qctkit plugins list
    """


@command.command(name="list")
@json_option
def list_plugins(as_json: bool) -> None:
    """List plugins with their state, and the recipes that --plugin can select.

    A broken plugin is listed with the reason; that is no error.

    \b
    Example:
        qctkit plugins list
    """
    registry = chosen_registry(quiet=True)
    _bring_clashes_to_light(registry)
    records = [_record(registry, one.name) for one in registry.plugins]
    if as_json:
        click.echo(json.dumps(records, indent=1))
        return
    for one in records:
        registers = "; ".join(f"{kind} {', '.join(n)}" for kind, n in one["registers"].items())
        state = f"{one['state']}: {one['problem']}" if one["problem"] else one["state"]
        click.echo(f"{one['name']} ({one['distribution']} {one['version']}): {state}")
        if registers:
            click.echo(f"  registers {registers}")
        for words in one["warnings"]:
            click.echo(f"  outdated: {words}")
    for name in registry.names("recipes"):
        click.echo(f"recipe {name}: {registry.recipe(name).account}")


@command.command(name="show")
@click.argument("name")
@json_option
def show_plugin(name: str, as_json: bool) -> None:
    """Show what one plugin is, where it comes from and what it registers.

    \b
    Example:
        qctkit plugins show femur-density
    """
    from qctkit.discovery import API_NAME
    from qctkit.hookspecs import API_VERSION

    registry = chosen_registry(quiet=True)
    registry.plugin(name)
    _bring_clashes_to_light(registry)
    record = _record(registry, name)
    plugin = registry.manager.get_plugin(name)
    record["api"] = getattr(plugin, API_NAME, "")
    if as_json:
        click.echo(json.dumps(record, indent=1))
        return
    click.echo(f"{name}: {record['state']}")
    if record["problem"]:
        click.echo(f"  problem       {record['problem']}")
    for words in record["warnings"]:
        click.echo(f"  outdated      {words}")
    click.echo(f"  distribution  {record['distribution']} {record['version']}")
    click.echo(f"  about         {record['about'] or '(no summary)'}")
    click.echo(f"  entry point   {record['target']}")
    click.echo(f"  plugin API    {record['api'] or '(not loaded)'}, this qctkit has {API_VERSION}")
    for kind, names in record["registers"].items():
        for one in names:
            click.echo(f"  {kind:<13} {one}: {_about(registry, name, kind, one)}")


@command.command(name="new")
@click.argument("name")
@click.option("--kind", required=True, type=click.Choice(NEW_KINDS), help="What it registers.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Folder to make.  [default: ./NAME]"
)
def new_plugin(name: str, kind: str, output: Path | None) -> None:
    """Make a new plugin: a whole distribution that installs, with a test that passes.

    NAME becomes the name of the distribution, of its entry point and of its component.

    \b
    Example:
        qctkit plugins new shell-density --kind predictor
        pip install -e shell-density
        qctkit plugins check shell-density
    """
    from qctkit.scaffold.distribution import write_distribution

    _refuse_taken(name, kind)
    folder = Path(name) if output is None else output
    for path in write_distribution(name, kind, folder):
        click.echo(path)
    click.echo(f"install it:  pip install -e {folder}")
    click.echo(f"test it:     python -m pytest {folder}")
    click.echo(f"check it:    qctkit plugins check {name}")


@command.command(name="check")
@click.argument("name")
@json_option
def check_plugin(name: str, as_json: bool) -> int:
    """Check an installed plugin against its contracts, and print what it promises and does.

    Ends with code 1 when a promise is not kept. These are the tests that plugins inherit from
    qctkit.testing.

    \b
    Example:
        qctkit plugins check femur-density
    """
    from qctkit.errors import PluginError
    from qctkit.testing.checking import check_components

    registry = chosen_registry(quiet=True)
    state = registry.plugin(name)
    if state.status != "loaded":
        raise PluginError(f"plugin {name} is {state.status} {state.problem}".rstrip())
    components = registry.components_of(name)
    state = registry.plugin(name)
    if state.problem:
        raise PluginError(f"plugin {name} is broken: {state.problem}")
    records = []
    for found in check_components(components):
        records.append(found.record())
        if not as_json:
            click.echo(found.words())
    if as_json:
        click.echo(json.dumps(records, indent=1))
    failed = sum(one["passed"] is False for one in records)
    if not as_json:
        click.echo(f"{name}: {len(records)} promises, {failed} not kept")
    return 1 if failed else 0


def _refuse_taken(name: str, kind: str) -> None:
    from qctkit.errors import PluginError
    from qctkit.registry import KINDS

    kinds = next(many for many, one in KINDS.items() if one == kind)
    if name in chosen_registry().names(kinds):
        raise PluginError(f"there is a {kind} {name!r} already; choose another name")


def _bring_clashes_to_light(registry: "Registry") -> None:
    """Ask for every kind of which a plugin has a component, and for no other."""
    loaded = [one.name for one in registry.plugins if one.status == "loaded"]
    for kind in {kind for name in loaded for kind in registry.components_of(name)}:
        registry.names(kind)


def _record(registry: "Registry", name: str) -> dict[str, Any]:
    """Return what is known of a plugin, asking its hooks for their components."""
    from qctkit.discovery import summary_of

    components = registry.components_of(name)
    state = registry.plugin(name)
    return {
        "name": state.name,
        "state": state.status,
        "problem": state.problem,
        "warnings": list(state.warnings),
        "distribution": state.distribution,
        "version": state.version,
        "about": summary_of(state),
        "target": state.target,
        "registers": {kind: sorted(found) for kind, found in components.items()},
    }


def _about(registry: "Registry", plugin: str, kind: str, name: str) -> str:
    """Return a component's own account, or the first line of its class's docstring."""
    component = registry.components_of(plugin)[kind][name]
    account = next(filter(None, (getattr(component, one, None) for one in ACCOUNTS)), None)
    return str(account or (type(component).__doc__ or "").strip().splitlines()[0])
