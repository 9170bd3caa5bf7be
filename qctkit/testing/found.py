"""What is installed where the tests run."""

from functools import lru_cache
from typing import Any

from qctkit.registry import Registry, load_registry


def installed(kind: str, name: str) -> Any:
    """Return a component that is found by an entry point, or a built-in one.

    Args:
        kind: as the hooks name it: "predictors", "validators", ...
        name: of the component.

    Raises:
        PluginError: there is none.
    """
    return installed_registry().component(kind, name)


@lru_cache(maxsize=1)
def installed_registry() -> Registry:
    """Return the registry of all that is installed."""
    return load_registry()
