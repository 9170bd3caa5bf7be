"""Names to components, whoever registered them.

A plugin that fails is left out, with its reason: it does not take the others down.
"""

import copy
import difflib
import logging
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

import pluggy

from qctkit.discovery import BUNDLED, PluginState, discover, in_words
from qctkit.errors import InputError, PluginError, PluginRunError
from qctkit.guarded_reader import GuardedReader
from qctkit.subject import know

if TYPE_CHECKING:
    import click

    from qctkit.contracts import (
        AttributeTerm,
        Edit,
        Exporter,
        LossTerm,
        PredictorFamily,
        Reader,
        Recipe,
        Transform,
        Validator,
    )
    from qctkit.subject import Attribute

KINDS = {
    "attributes": "attribute",
    "readers": "reader",
    "predictors": "predictor",
    "edits": "edit",
    "transforms": "transform",
    "losses": "loss",
    "attribute_terms": "attribute term",
    "validators": "validator",
    "recipes": "recipe",
    "exporters": "exporter",
    "commands": "command",
}
"""Every kind of component, as hooks name it, with the word for one."""

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class _Kind:
    """The components of one kind, who registered each, and the names that are nobody's."""

    components: dict[str, Any] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    clashes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Registry:
    """The components that built-ins and plugins registered, by kind and name.

    Each kind is asked for when it is first needed, so that a command loads only what it uses.

    Attributes:
        manager: the hooks.
        found: the plugins as they were discovered.
        say: told once of every plugin that turns out to be broken or fails.
        failures: what plugins raised while they ran, a sentence each.
    """

    manager: pluggy.PluginManager
    found: tuple[PluginState, ...]
    say: Say
    failures: list[str] = field(default_factory=list)
    _kinds: dict[str, _Kind] = field(default_factory=dict)
    _problems: dict[str, str] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what goes to another process: hooks cannot, so its plugins are loaded there.

        What fails there is for this process to tell.
        """
        return _silent_registry, (tuple(one.name for one in self.found if one.status == "loaded"),)

    @property
    def plugins(self) -> tuple[PluginState, ...]:
        """The plugins, with the problems that came to light so far."""
        return tuple(
            replace(one, problem=one.problem or self._problems.get(one.name, ""))
            for one in self.found
        )

    def attributes(self) -> "tuple[Attribute, ...]":
        """Return all attributes of subjects; from then on this process knows them."""
        return tuple(self._of("attributes").components.values())

    def readers(self) -> "tuple[Reader, ...]":
        """Return all readers; those of plugins raise only what their contract allows."""
        return tuple(
            one if self.owner("readers", name) is None else self._guarded(one, name)
            for name, one in self._of("readers").components.items()
        )

    def families(self) -> "tuple[PredictorFamily, ...]":
        """Return all predictor families."""
        return tuple(self._of("predictors").components.values())

    def family(self, name: str) -> "PredictorFamily":
        """Return a predictor family by name."""
        family: PredictorFamily = self.component("predictors", name)
        return family

    def edit(self, name: str) -> "Edit":
        """Return an edit by name."""
        edit: Edit = self.component("edits", name)
        return edit

    def transform(self, name: str) -> "Transform":
        """Return a transform by name."""
        transform: Transform = self.component("transforms", name)
        return transform

    def loss(self, name: str) -> "LossTerm":
        """Return a preservation term by name."""
        term: LossTerm = self.component("losses", name)
        return term

    def attribute_term(self, name: str) -> "AttributeTerm":
        """Return an attribute term by name."""
        term: AttributeTerm = self.component("attribute_terms", name)
        return term

    def validator(self, name: str) -> "Validator":
        """Return a validator by name."""
        validator: Validator = self.component("validators", name)
        return validator

    def recipe(self, name: str) -> "Recipe":
        """Return a recipe by name."""
        recipe: Recipe = self.component("recipes", name)
        return recipe

    def exporter(self, name: str) -> "Exporter":
        """Return an exporter by name."""
        exporter: Exporter = self.component("exporters", name)
        return exporter

    def commands(self) -> "tuple[click.Command, ...]":
        """Return the commands that plugins add."""
        return tuple(self._of("commands").components.values())

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the registered names of a kind ("readers", "recipes", ...), sorted."""
        return tuple(sorted(self._of(kind).components))

    def component(self, kind: str, name: str) -> Any:
        """Return a component by kind and name.

        Raises:
            PluginError: there is none, or two plugins registered it.
        """
        found = self._of(kind)
        if name in found.clashes:
            raise PluginError(found.clashes[name])
        if name in found.components:
            return found.components[name]
        near = difflib.get_close_matches(name, found.components, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise PluginError(
            f"no {KINDS[kind]} is called {name!r} (known: "
            f"{', '.join(sorted(found.components)) or 'none'}){hint}{self._left_out()}"
        )

    def plugin(self, name: str) -> PluginState:
        """Return a plugin by name.

        Raises:
            PluginError: none of this name is installed.
        """
        for one in self.plugins:
            if one.name == name:
                return one
        near = difflib.get_close_matches(name, [one.name for one in self.found], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise PluginError(f"no plugin {name!r} is installed{hint}; see `qctkit plugins list`")

    def components_of(self, plugin: str) -> dict[str, dict[str, Any]]:
        """Return what a plugin registers, by kind and name; other plugins' hooks are not called."""
        registered = {}
        for kind in KINDS:
            mine = [one for one in self._hooks(f"register_{kind}") if one.plugin_name == plugin]
            components = [one for hook in mine for one in self._ask(hook)]
            if components:
                registered[kind] = {one.name: one for one in components}
        return registered

    def owner(self, kind: str, name: str) -> PluginState | None:
        """Return the plugin that registered a component; None for a built-in."""
        owner = self._of(kind).owners.get(name)
        return next((one for one in self.found if one.name == owner), None)

    def made_by(self, components: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
        """Return the plugins that registered these ``(kind, name)``, for the record of a run."""
        owners = {self.owner(kind, name) for kind, name in components} - {None}
        return [
            {"name": one.name, "distribution": one.distribution, "version": one.version}
            for one in sorted(filter(None, owners), key=lambda one: one.name)
        ]

    @contextmanager
    def guarding(self, kind: str, name: str, doing: str) -> Iterator[None]:
        """Turn whatever a plugin's component raises into an error that names it.

        A built-in's errors stay as they are: those are ours to mend.

        Args:
            kind: of the component.
            name: of the component.
            doing: which method, on which sample: "judge of candidate-00003".

        Raises:
            PluginRunError: the plugin raised something.
        """
        try:
            yield
        except PluginRunError:
            raise
        except Exception as error:
            owner = self.owner(kind, name)
            if owner is None:
                raise
            words = _component_failed(owner, kind, name, f"{doing}: {in_words(error)}")
            raise PluginRunError(words) from error

    def component_failed(self, kind: str, name: str, what: str) -> None:
        """Keep and tell of a failure of a plugin's component that happened in another process."""
        owner = self.owner(kind, name)
        if owner is not None:
            self.failed(PluginRunError(_component_failed(owner, kind, name, what)))

    @contextmanager
    def guarding_all(self, doing: str) -> Iterator[None]:
        """Turn what is raised in any plugin's code into an error that names it.

        Where edits, loss terms and predictors work together, the innermost line of a plugin in
        the traceback tells whose it was.

        Raises:
            PluginRunError: a plugin raised something.
        """
        try:
            yield
        except PluginRunError:
            raise
        except Exception as error:
            found = self._culprit(error)
            if found is None:
                raise
            owner, function = found
            raise PluginRunError(
                f"plugin {owner.name} ({owner.origin}) failed: {function}, {doing}: "
                f"{in_words(error)}"
            ) from error

    def _culprit(self, error: Exception) -> tuple[PluginState, str] | None:
        """Return the plugin, and its function, in whose code an error was raised."""
        packages = {one.target.split(":")[0].split(".")[0]: one for one in self.found}
        found = None
        for frame, _ in traceback.walk_tb(error.__traceback__):
            package = str(frame.f_globals.get("__name__", "")).split(".")[0]
            if package in packages:
                found = packages[package], frame.f_code.co_qualname
        return found

    def failed(self, failure: PluginRunError) -> str:
        """Keep a failure that the run goes on after, tell of it, and return it in words."""
        words = str(failure)
        if words not in self.failures:
            self.say(words)
        self.failures.append(words)
        return words

    def observe(self, hook: str, **seen: Any) -> None:
        """Call an observer hook of every plugin with copies of what there is to see.

        One that raises is told of and counted as a failure; the run goes on.
        """
        for one in self._hooks(hook):
            given = [copy.deepcopy(seen[name]) for name in one.argnames]
            try:
                one.function(*given)
            except Exception as error:
                what = f"{hook}: {in_words(error)}"
                self.failed(
                    PluginRunError(f"plugin {self._origin(one.plugin_name)} failed: {what}")
                )

    def _guarded(self, reader: "Reader", name: str) -> "Reader":
        origin = self._origin(self._of("readers").owners[name])
        return GuardedReader(reader, origin, lambda words: self.failed(PluginRunError(words)))

    def _left_out(self) -> str:
        """Return the plugins that might have registered a missing name."""
        broken = [f"; plugin {one.name} is broken: {one.problem}" for one in self.plugins
                  if one.status == "broken"]  # fmt: skip
        disabled = [one.name for one in self.plugins if one.status == "disabled"]
        if disabled:
            broken.append(f"; disabled plugins: {', '.join(disabled)}")
        return "".join(broken)

    def _of(self, kind: str) -> _Kind:
        if kind not in self._kinds:
            self._kinds[kind] = self._collect(kind)
        return self._kinds[kind]

    def _collect(self, kind: str) -> _Kind:
        found = _Kind()
        for hook in self._hooks(f"register_{kind}"):
            for component in self._ask(hook):
                self._enter(found, kind, component, hook.plugin_name)
        if kind == "attributes":
            self._make_known(found)
        return found

    def _make_known(self, found: _Kind) -> None:
        """Make attributes known to this process; one that cannot be is left out."""
        for name, attribute in [*found.components.items()]:
            try:
                know([attribute])
            except InputError as error:
                self._blame(found.owners[name], str(error))
                del found.components[name]

    def _enter(self, found: _Kind, kind: str, component: Any, plugin: str) -> None:
        """Enter a component; of two with one name a built-in stays, and otherwise neither does."""
        name = component.name
        if name not in found.owners:
            found.components[name] = component
            found.owners[name] = plugin
            return
        first = found.owners[name]
        clash = (
            f"{KINDS[kind]} {name!r} is registered by both {self._origin(first)} and "
            f"{self._origin(plugin)}"
        )
        self._blame(plugin, clash)
        if first != BUNDLED:
            self._blame(first, clash)
            found.clashes[name] = f"{clash}; uninstall one, or select with QCTKIT_PLUGINS"
            found.components.pop(name, None)

    def _hooks(self, name: str) -> Sequence[pluggy.HookImpl]:
        # pluggy answers newest first; built-ins were registered first and come first.
        hooks: Sequence[pluggy.HookImpl] = getattr(self.manager.hook, name).get_hookimpls()
        return hooks

    def _ask(self, hook: pluggy.HookImpl) -> list[Any]:
        """Return what a plugin registers, or nothing where it fails."""
        try:
            found: list[Any] = list(hook.function())  # type: ignore[call-overload] # says object
            for component in found:
                if not isinstance(component.name, str):
                    raise TypeError(f"a name must be a text, got {component.name!r}")
            return found
        except (Exception, SystemExit) as error:
            if hook.plugin_name == BUNDLED:
                raise
            self._blame(hook.plugin_name, f"{hook.function.__name__}: {in_words(error)}")
            return []

    def _blame(self, plugin: str, problem: str) -> None:
        if plugin not in self._problems:
            self._problems[plugin] = problem
            self.say(f"plugin {self._origin(plugin)} is broken: {problem}")

    def _origin(self, plugin: str) -> str:
        for one in self.found:
            if one.name == plugin:
                return f"{one.name} ({one.origin})"
        return plugin


def _component_failed(owner: PluginState, kind: str, name: str, what: str) -> str:
    return f"plugin {owner.name} ({owner.origin}) failed: {KINDS[kind]} {name}, {what}"


def load_registry(
    points: Iterable[EntryPoint] | None = None,
    *,
    only: Collection[str] | None = None,
    say: Say | None = None,
) -> Registry:
    """Return a registry of the built-ins and of every plugin installed under group ``qctkit``.

    Args:
        points: entry points; None takes those that are installed.
        only: names of the plugins to load; None takes ``QCTKIT_PLUGINS``, or all.
        say: told of every broken plugin; None logs a warning.

    Raises:
        PluginError: a plugin is selected that is not installed.
    """
    manager, found = discover(points, only)
    registry = Registry(manager, found, say or logging.getLogger(__name__).warning)
    for one in found:
        if one.status == "broken":
            registry.say(f"plugin {one.name} ({one.origin}) is broken: {one.problem}")
    registry.attributes()  # at once: a table or a file may hold them
    return registry


def _silent_registry(only: Collection[str]) -> Registry:
    return load_registry(only=only, say=lambda _: None)
