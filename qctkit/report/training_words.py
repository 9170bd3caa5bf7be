"""Figures of a training in words, with their intervals."""

import re
from collections.abc import Mapping, Sequence

from qctkit.cohort import Record
from qctkit.subject import ATTRIBUTES, SEX

MEAN = "mean predictor"


def title(name: str) -> str:
    """Return an attribute's name as a heading, without its unit: ``Age``, ``Body mass index``."""
    unit = re.sub("[^a-z0-9]+", "_", ATTRIBUTES[name].unit.lower())
    return name.removesuffix(f"_{unit}").replace("_", " ").capitalize()


def joined(names: Sequence[str]) -> str:
    """Return names as a sentence lists them: ``sex, age and weight``."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def is_binary(name: str) -> bool:
    """Whether an attribute has two values."""
    return ATTRIBUTES[name].kind == "binary"


def classes(name: str) -> tuple[str, str]:
    """Return what those are called whose binary attribute is 0, and 1."""
    return ("women", "men") if name == SEX.name else ("those with 0", "those with 1")


def codes(name: str) -> tuple[str, str]:
    """Return how the values of a binary attribute are written."""
    return ("F", "M") if name == SEX.name else ("0", "1")


def unit(name: str) -> str:
    """Return an attribute's unit, empty where it has none."""
    return ATTRIBUTES[name].unit


def shown(figure: Record, digits: int = 2, scale: float = 1.0) -> str:
    """Return a figure with its 95 % interval: ``4.10 (3.20 to 5.11)``."""
    value, low, high = (figure[key] for key in ("value", "low", "high"))
    if value is None:
        return "undefined"
    if low is None or high is None:
        return _rounded(scale * value, digits)
    value, low, high = (_rounded(scale * one, digits) for one in (value, low, high))
    return f"{value} ({low} to {high})"


def signed(value: float) -> str:
    """Return a difference with its sign."""
    return f"{round(value, 1) + 0.0:+.1f}"


def best(name: str, found: Mapping[str, Record]) -> str:
    """Return the predictor that reads an attribute of held-out subjects best."""
    if is_binary(name):
        return max(
            found, key=lambda one: (_value(found[one], "accuracy"), _value(found[one], "auc"))
        )
    return min(found, key=lambda one: _value(found[one], "mae"))


def headline(name: str, found: Mapping[str, Record], mean: Record) -> str:
    """Return in a few words how well an attribute of unseen subjects is read."""
    chosen = best(name, found)
    if is_binary(name):
        ours, plain = (shown(one["accuracy"], 0, 100) for one in (found[chosen], mean))
        words = (
            f"{title(name)}: {chosen} is right for {ours} % of them; the mean predictor for "
            f"{plain} %."
        )
        words += _none_wrong(found[chosen])
        gained = _value(found[chosen], "accuracy") > _value(mean, "accuracy")
    else:
        ours, plain = (shown(one["mae"], 1) for one in (found[chosen], mean))
        words = (
            f"{title(name)}: {chosen} errs by {ours} {unit(name)} on average; the mean predictor "
            f"by {plain} {unit(name)}."
        )
        gained = _value(found[chosen], "mae") < _value(mean, "mae")
    return words if gained else f"{words} It is no better than not looking."


def band_in_words(name: str, band: Record) -> str:
    """Return a band of an attribute: ``below 50 years``."""
    low, high = band["from"], band["to"]
    if low is None:
        return f"below {high:g} {unit(name)}"
    return f"from {low:g} {unit(name)}" if high is None else f"{low:g} to {high:g} {unit(name)}"


def cohort_in_words(subjects: Sequence[Record]) -> str:
    """Return who was trained on, and what of them is not known."""
    people = list({one["subject_id"]: one for one in subjects}.values())
    women, men = (sum(one["sex"] == code for one in people) for code in "FM")
    words = [f"{len(people)} subjects ({len(subjects)} scans): {women} women, {men} men"]
    missing = []
    for name in (name for name in ATTRIBUTES if name in subjects[0]):
        known = [one[name] for one in people if one[name] is not None]
        if known and not is_binary(name):
            words.append(f"{title(name).lower()} {_range(known)} {unit(name)}")
        if len(known) < len(people):
            missing.append(f"{title(name).lower()} of {len(people) - len(known)}")
    lengths = [one["scan_length_mm"] for one in subjects]
    words.append(f"scans {_range(lengths)} mm long")
    words.append(f"not known: {', '.join(missing)}" if missing else "nothing is missing")
    return "; ".join(words) + "."


def chart_in_words(name: str, found: Mapping[str, Record], mean: Record) -> str:
    """Return what the chart of an attribute shows, for those who cannot see it."""
    if is_binary(name):
        zeros, ones = classes(name)
        said = (
            f"{one}: {_wrong(figures)} of {figures['readings']} on the wrong side of one half, "
            f"confidence off by {_value(figures, 'calibration_error'):.2f} on average"
            for one, figures in found.items()
        )
        return (
            f"Above, for each held-out subject the read probability of {ones}, {zeros} left and "
            f"{ones} right. Below, the share that was right against the confidence, larger dots "
            f"for more subjects, on the line if honest. {'; '.join(said)}."
        )
    said = (
        f"{one}: off by {_value(figures, 'mae'):.1f} {unit(name)}, R2 {_value(figures, 'r2'):.2f}"
        for one, figures in found.items()
    )
    return (
        f"{title(name)} read of each held-out subject against true {title(name).lower()}, with the "
        f"line of perfect reading and, dashed, the mean predictor's (off by "
        f"{_value(mean, 'mae'):.1f} {unit(name)}). {'; '.join(said)}."
    )


def _rounded(value: float, digits: int) -> str:
    # Adding zero turns -0.0 into 0.0.
    return f"{round(value, digits) + 0.0:.{digits}f}"


def _none_wrong(figures: Record) -> str:
    """Return what the bootstrap cannot say: errors that did not happen cannot be drawn.

    Of n subjects none wrong bounds the rate of errors at about 3/n with 95 % confidence (Hanley and
    Lippman-Hand 1983).
    """
    if _wrong(figures):
        return ""
    count = figures["subjects"]
    return f" None of {count} was wrong; up to {300 / count:.0f} % wrong would still fit that."


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.0f}", f"{max(values):.0f}"
    return low if low == high else f"{low} to {high}"


def _wrong(figures: Record) -> int:
    confusion = figures["confusion"]
    return int(confusion["true_f_read_m"] + confusion["true_m_read_f"])


def _value(figures: Record, figure: str) -> float:
    value = figures[figure]["value"]
    return float("nan") if value is None else float(value)
