"""Whether the plugins that made a file are there, for what makes or judges its samples again."""

from qctkit.errors import PluginError
from qctkit.registry import Registry
from qctkit.store.reader import CohortFile


def refuse_without_plugins(made: CohortFile, registry: Registry) -> None:
    """Refuse a file whose plugins are not all loaded, rather than guess what they did.

    Raises:
        PluginError: one is not installed, disabled or broken; its version is named.
    """
    states = {one.name: one.status for one in registry.plugins}
    for one in made.run.get("plugins", ()):
        status = states.get(one["name"], "not installed")
        if status != "loaded":
            origin = f"{one['distribution']} {one['version']}".strip()
            raise PluginError(
                f"{made.path} was made with plugin {one['name']} ({origin}), which is {status} "
                "here; see `qctkit plugins list`"
            )
