import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest

from qctkit.errors import PluginError
from qctkit.plugin import Recipe, hookimpl
from qctkit.recipes.voxel_baseline import voxel_baseline
from qctkit.registry import BUNDLED, load_registry

Install = Callable[..., EntryPoint]


@pytest.fixture
def install() -> Iterator[Install]:
    """Make an importable module of hooks and give its entry point."""
    made: list[str] = []

    def make(name: str, **hooks: Callable[..., object]) -> EntryPoint:
        module = types.ModuleType(f"planted_{len(made)}")
        for hook, function in hooks.items():
            function.__name__ = hook
            setattr(module, hook, hookimpl(function))
        sys.modules[module.__name__] = module
        made.append(module.__name__)
        return EntryPoint(name, module.__name__, "qctkit")

    yield make
    for one in made:
        del sys.modules[one]


def _recipe(name: str) -> Recipe:
    return replace(voxel_baseline(), name=name)


def test_the_built_in_components_come_through_the_hooks() -> None:
    registry = load_registry(())
    edits = {"density-field", "morph", "soft-tissue", "voxel"}
    started_by_the_atlas = {"cohort-density", "cohort-shape", "cohort-tissue"}
    assert set(registry.names("edits")) == edits | started_by_the_atlas
    assert registry.names("losses") == ("bending", "size", "smoothness", "total-variation")
    assert {"attributes", "density", "structure"} <= set(registry.names("validators"))
    assert {"bone-density", "sex-network", "reader-network"} <= set(registry.names("predictors"))
    assert registry.names("recipes") == ("femur-morph", "voxel-baseline")
    assert "nifti" in registry.names("exporters")
    assert registry.readers()
    owners = {impl.plugin_name for impl in registry.manager.hook.register_edits.get_hookimpls()}
    assert owners == {BUNDLED}


@pytest.mark.parametrize("kind", ["edit", "loss", "validator", "family", "recipe", "exporter"])
def test_every_component_is_found_by_the_name_it_carries(kind: str) -> None:
    registry = load_registry(())
    plural = {"loss": "losses", "family": "predictors"}.get(kind, f"{kind}s")
    for name in registry.names(plural):
        assert getattr(registry, kind)(name).name == name


def test_femur_density_is_found_by_its_entry_point() -> None:
    registry = load_registry()
    (state,) = [one for one in registry.plugins if one.name == "femur-density"]
    assert (state.distribution, state.problem) == ("qctkit-femur-density", "")
    assert registry.recipe("femur-density").name == "femur-density"


def test_a_name_registered_twice_is_an_error_naming_both(install: Install) -> None:
    first = install("first", register_recipes=lambda: (_recipe("mine"),))
    second = install("second", register_recipes=lambda: (_recipe("mine"),))
    with pytest.raises(PluginError, match=r"'mine' .* both first and second"):
        load_registry([first, second]).recipe("mine")


def test_a_name_of_a_built_in_is_an_error_too(install: Install) -> None:
    clash = install("clash", register_recipes=lambda: (_recipe("voxel-baseline"),))
    with pytest.raises(PluginError, match=r"built in.* and clash"):
        load_registry([clash]).names("recipes")


def test_a_plugin_that_cannot_be_imported_is_reported_and_the_others_go_on(
    install: Install,
) -> None:
    broken = EntryPoint("broken", "no_such_module_at_all", "qctkit")
    good = install("good", register_recipes=lambda: (_recipe("mine"),))
    registry = load_registry([broken, good])
    assert "ModuleNotFoundError" in registry.plugins[0].problem
    assert registry.plugins[1].problem == ""
    assert registry.recipe("mine").name == "mine"


def test_a_misspelt_hook_is_reported_and_the_others_go_on(install: Install) -> None:
    misspelt = install("a-misspelt", register_recipies=lambda: ())
    good = install("good", register_recipes=lambda: (_recipe("mine"),))
    registry = load_registry([misspelt, good])
    assert "register_recipies" in registry.plugins[0].problem
    assert registry.recipe("mine").name == "mine"


def test_of_two_plugins_with_one_name_the_second_is_reported_and_the_first_stays(
    install: Install,
) -> None:
    first = install("twin", register_recipes=lambda: (_recipe("mine"),))
    second = install("twin", register_recipes=lambda: (_recipe("yours"),))
    registry = load_registry([first, second])
    assert [bool(one.problem) for one in registry.plugins] == [False, True]
    assert "mine" in registry.names("recipes")


def test_a_plugin_that_takes_the_built_ins_name_does_not_take_them_down(install: Install) -> None:
    registry = load_registry([install(BUNDLED, register_recipes=lambda: (_recipe("mine"),))])
    assert registry.plugins[0].problem
    assert "voxel-baseline" in registry.names("recipes")


def test_a_hook_that_fails_is_an_error_naming_the_plugin_and_the_hook(install: Install) -> None:
    def register_edits() -> None:
        raise RuntimeError("no licence")

    registry = load_registry([install("late", register_edits=register_edits)])
    with pytest.raises(PluginError, match=r"late failed in register_edits.*no licence"):
        registry.names("edits")
    assert "voxel-baseline" in registry.names("recipes")


def test_a_component_without_a_name_is_an_error_naming_the_plugin(install: Install) -> None:
    registry = load_registry([install("nameless", register_edits=lambda: (object(),))])
    with pytest.raises(PluginError, match="nameless"):
        registry.names("edits")


def test_an_unknown_recipe_suggests_the_nearest() -> None:
    with pytest.raises(PluginError, match=r"did you mean 'femur-density'\?"):
        load_registry().recipe("femur-densty")


def test_an_unknown_name_tells_of_broken_plugins() -> None:
    broken = EntryPoint("broken", "no_such_module_at_all", "qctkit")
    with pytest.raises(PluginError, match="plugin broken failed: ModuleNotFoundError"):
        load_registry([broken]).recipe("its-recipe")


def test_a_kind_is_asked_for_only_when_it_is_needed(install: Install) -> None:
    asked: list[str] = []
    registry = load_registry([install("late", register_edits=lambda: asked.append("edits") or ())])
    assert asked == []
    registry.names("recipes")
    assert asked == []
    registry.names("edits")
    registry.edit("voxel")
    assert asked == ["edits"]
