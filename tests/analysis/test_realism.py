"""Real-or-fake figures on cohorts of numbers alone."""

from dataclasses import replace

import numpy as np
import pytest

from qctkit.analysis.realism import FIGURES, Appearance, Realism, analyse_realism, take

SUBJECTS = 16
SHAPE = (4, 12, 12)


def _people(seed: int, suffix: str = "") -> Appearance:
    random = np.random.default_rng(seed)
    ids = tuple(f"S{number:02d}" for number in range(SUBJECTS))
    return Appearance(
        sample_ids=tuple(one + suffix for one in ids),
        source_ids=ids,
        groups=np.array(ids),
        physical=random.normal(size=(SUBJECTS, 8)),
        texture=random.normal(size=(SUBJECTS, 4)),
        blocks=(40 + 20 * random.normal(size=(SUBJECTS, *SHAPE))).astype(np.int16),
        power=np.exp(random.normal(0.0, 0.1, size=(SUBJECTS, 4))),
        autocorrelation=random.normal(0.3, 0.05, size=(SUBJECTS, 3)),
        between_slices=random.normal(0.2, 0.05, size=SUBJECTS),
    )


REAL, MADE, AFFINE = _people(0), _people(1, "-a"), _people(2, "-a")


@pytest.fixture(scope="module")
def found() -> Realism:
    """Made samples that are alike, and a usual augmentation that is far off and noisier."""
    far = replace(AFFINE, texture=AFFINE.texture + 6.0, physical=AFFINE.physical + 3.0,
                  power=4.0 * AFFINE.power)  # fmt: skip
    return analyse_realism(REAL, MADE, far)


def test_every_figure_stands_beside_its_references(found: Realism) -> None:
    assert set(found.figures) == set(FIGURES)
    without = {"distance_to_source", "distance_to_nearest"}
    for name, figure in found.figures.items():
        for kind in ("made", "affine_and_noise"):
            assert figure[kind] is not None, name
        assert (figure["real_against_real"] is None) == (name in without), name


def test_what_is_alike_passes_and_what_is_far_off_does_not(found: Realism) -> None:
    auc = found.figures["classifier_auc"]
    assert auc["made"] is not None
    assert auc["affine_and_noise"] is not None
    assert not auc["made"].excludes(0.5)
    assert auc["affine_and_noise"].value > 0.95
    frechet, coverage = found.figures["frechet"], found.figures["coverage"]
    assert frechet["affine_and_noise"].value > 5 * frechet["real_against_real"].value
    assert coverage["affine_and_noise"].value < 0.2 < coverage["made"].value


def test_the_noise_is_compared_with_the_real_scans(found: Realism) -> None:
    ratio = found.figures["noise_power_1"]
    assert not ratio["made"].excludes(1.0)
    assert ratio["affine_and_noise"].value == pytest.approx(4.0, rel=0.2)


def test_the_stronger_classifier_counts(found: Realism) -> None:
    figures = found.figures
    for kind in ("made", "affine_and_noise", "real_against_real"):
        both = [figures[f"classifier_{one}_auc"][kind].value for one in ("features", "network")]
        assert figures["classifier_auc"][kind].value == max(both)


def test_each_sample_says_how_near_it_lies(found: Realism) -> None:
    rows = found.record()["samples"]
    assert [row["sample_id"] for row in rows] == list(MADE.sample_ids)
    assert all(row["nearest_other_sample_id"] != row["source_sample_id"] for row in rows)
    assert all(np.isfinite(row["made_score"]) for row in rows)


def test_what_stands_beside_changes_nothing_else(found: Realism) -> None:
    """Fewer samples than were made, far off and noisier, as ``found``'s usual augmentation is."""
    far = replace(AFFINE, texture=AFFINE.texture + 6.0, physical=AFFINE.physical + 3.0,
                  power=4.0 * AFFINE.power)  # fmt: skip
    few = take(far, np.arange(SUBJECTS - 6))
    both = analyse_realism(REAL, MADE, far, beside={"other": few, "same": MADE})
    for name, figure in both.figures.items():
        assert {kind: figure[kind] for kind in found.figures[name]} == found.figures[name]
        assert figure["other"] is not None, name
    assert both.figures["classifier_auc"]["other"].value > 0.95
    assert both.figures["noise_power_1"]["other"].value == pytest.approx(4.0, rel=0.2)
    exact = ("classifier_auc", "noise_power_1", "distance_to_source", "distance_to_nearest")
    for name in exact:
        assert both.figures[name]["same"] == both.figures[name]["made"]
    record = both.record()
    assert (
        record["figures"][0]["beside"]["other"] == both.figures["classifier_auc"]["other"].record()
    )
    assert record["noise"]["beside"]["other"]["scans"] == len(few)
    assert any("10 by other" in words for words in record["notes"])
    assert "same" not in record["notes"][-1]
    assert any("affine and noise" in words and "other" in words for words in both.words)
