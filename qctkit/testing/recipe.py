"""The contract of recipes, as checks."""

from qctkit.contracts import AtMost, Recipe, Role
from qctkit.engine.edits.composition import StartedByAtlas
from qctkit.testing.contract import Contract, expect
from qctkit.testing.found import installed_registry


class RecipeContract(Contract):
    """A recipe names what is registered, and keeps the judges out of the loop.

    The components may come from other plugins, which have to be installed.
    """

    component: Recipe

    def test_it_says_what_it_changes_and_what_it_leaves_alone(self) -> None:
        """Its account is one line that says what it changes."""
        recipe = self.component
        expect(isinstance(recipe, Recipe), f"it is {recipe!r}, expected a Recipe")
        expect(len(recipe.account.split()) > 3, f"its account is {recipe.account!r}")
        expect("\n" not in recipe.account, "its account is more than one line")
        self.found(recipe.account)

    def test_everything_it_names_is_registered(self) -> None:
        """Its predictors, edits, loss terms and validators are registered."""
        recipe, registry = self.component, installed_registry()
        for name in recipe.edits:
            registry.edit(name)
        for name in filter(None, (*recipe.predictors, recipe.carried_by)):
            registry.family(name)
        if recipe.transform:
            registry.transform(recipe.transform)
        for name in recipe.preservation:
            registry.loss(name)
        registry.attribute_term(recipe.attribute_term)
        for name in recipe.validators:
            registry.validator(name)
        self.found(
            f"changed by {', '.join(recipe.changed_by)}; "
            f"driven by {', '.join(recipe.predictors) or 'nothing'}; "
            f"loss terms {', '.join(recipe.preservation) or 'none'}; "
            f"validators {', '.join(recipe.validators)}"
        )

    def test_it_edits_or_transforms(self) -> None:
        """It has edits, or a transform and then nothing that would drive one."""
        recipe = self.component
        expect(len(recipe.changed_by) > 0, "it has neither edits nor a transform")
        driven = bool(recipe.transform) and recipe.is_driven
        expect(not driven, "it has a transform, and predictors, edits, loss terms or may_carry too")

    def test_no_predictor_that_drives_it_is_a_reader(self) -> None:
        """No predictor that drives the loop is a reader: a judge stays outside."""
        families = [installed_registry().family(name) for name in self.component.predictors]
        readers = [one.name for one in families if one.role is Role.READER]
        expect(not readers, f"{', '.join(readers)} would be judge and party")

    def test_what_an_atlas_gives_is_given(self) -> None:
        """Where one of its edits takes what an atlas gives, it starts from the atlas."""
        named = [installed_registry().edit(name) for name in self.component.edits]
        waiting = [one.name for one in named if isinstance(one, StartedByAtlas)]
        words = f"{', '.join(waiting)} would change nothing without from_atlas"
        expect(self.component.from_atlas or not waiting, words)

    def test_its_candidates_are_judged(self) -> None:
        """At least one validator judges its candidates."""
        expect(len(self.component.validators) > 0, "without validators everything is accepted")

    def test_what_it_may_carry_is_read_in_the_loop_and_outside_it(self) -> None:
        """What it may carry is known, driven by a predictor, and read by one outside the loop."""
        recipe, registry = self.component, installed_registry()
        known = registry.names("attributes")
        unknown = [one for one in recipe.may_carry if one not in known]
        expect(not unknown, f"attributes {unknown} are not known; known: {', '.join(known)}")
        inside = {a for name in recipe.predictors for a in registry.family(name).attributes}
        outside = {
            a for one in registry.families() if one.role is Role.READER for a in one.attributes
        }
        for name in recipe.may_carry:
            expect(name in inside, f"no predictor of the loop reads {name}")
            expect(name in outside, f"no reader outside the loop reads {name}")
            expect(
                name in registry.family(recipe.carried_by).attributes,
                f"{recipe.carried_by} decides what is carried, and does not read {name}",
            )
        self.found(f"may carry {', '.join(recipe.may_carry) or 'nothing'}")

    def test_its_numbers_can_be_used(self) -> None:
        """Its weights are at least 0, and its steps and patience at least 1."""
        recipe = self.component
        weights = [one for one in recipe.preservation.values() if not isinstance(one, AtMost)]
        expect(all(weight >= 0 for weight in weights), "a weight is negative")
        expect(recipe.steps >= 1, f"steps is {recipe.steps}")
        expect(recipe.patience >= 1, f"patience is {recipe.patience}")
