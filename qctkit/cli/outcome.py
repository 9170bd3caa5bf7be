"""How one candidate came out, in words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

LOSSES_SHOWN = 6


def outcome_lines(record: Mapping[str, Any]) -> Iterator[str]:
    """Give the lines that tell of an accepted or refused candidate, the most asked for first."""
    for title, words in _facts(record):
        yield f"{title + ':':<14} {words}"
    yield "verdicts:"
    for one in record["verdicts"]:
        state = "passed" if one["passed"] else "FAILED"
        yield f"  {one['validator']}: {state}, {one['words']}"
    yield "readings, before -> after (expected of such a person, typical error):"
    for one in record["readings"]:
        yield f"  {_reading(one)}"
    yield "early warning, predictors of the loop and as fitted without the source:"
    for one in record["twin_readings"]:
        yield f"  {_twin(one)}"
    yield f"  {record['warning'] or _no_warning(record)}"


def _facts(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    state = "accepted" if record["accepted"] else f"refused: {record['reason']}"
    yield record["candidate_id"], state
    yield "source", f"{record['source_sample_id']} ({_attributes(record['source_labels'])})"
    changed_by = record.get("transform") or " then ".join(record["edits"])
    yield "recipe", f"{record['recipe']}, {changed_by}, seed {record['seed']}"
    yield "carried", ", ".join(record["carried"]) or "nothing"
    yield "target", _attributes(record["targets"]) or "none"
    yield "labels", _attributes(record["labels"])
    yield "extrapolation", _extrapolation(record["extrapolation"])
    yield "stopped", f"{record['stop']}, after {record['steps']} steps"
    yield "loss", f"{_curve(record['losses'])}; aims by {record['attribute_term']}"
    for one in record["preservation"]:
        yield one["term"], _kept(one)
    for name, one in record["parameters"].items():
        yield name, _parameter(one)
    for name, value in record["figures"].items():
        yield name, f"{value:g}"
    yield "versions", ", ".join(f"{name} {found}" for name, found in record["versions"].items())


def _attributes(values: Mapping[str, Any]) -> str:
    known = {name: value for name, value in values.items() if value is not None}
    return ", ".join(
        f"{name} {value if isinstance(value, str) else f'{value:g}'}"
        for name, value in known.items()
    )


def _extrapolation(found: Mapping[str, Any]) -> str:
    parts = [f"{name} beyond every real subject's" for name in found["attributes"]]
    if found["jointly"]:
        parts.append(
            f"together {found['distance']:.1f} spreads from the cohort's middle, real subjects "
            f"at most {found['largest_real_distance']:.1f}"
        )
    return "; ".join(parts) or "none"


def _curve(losses: Sequence[float]) -> str:
    """Return losses at a few steps, evenly spread from the first to the last."""
    count = min(LOSSES_SHOWN, len(losses))
    steps = [round(k * (len(losses) - 1) / max(count - 1, 1)) for k in range(count)]
    return ", ".join(f"{losses[step]:.4g} (step {step + 1})" for step in dict.fromkeys(steps))


def _kept(one: Mapping[str, Any]) -> str:
    how = f"weight {one['weight']:g}" if one["at_most"] is None else f"at most {one['at_most']:g}"
    return f"costs {one['cost']:.3g} ({how})"


def _parameter(one: Mapping[str, Any]) -> str:
    shape = "x".join(map(str, one["shape"]))
    unit = f" {one['unit']}" if one["unit"] else ""
    return (
        f"{shape} values, root mean square {one['root_mean_square']:.4g}{unit}, "
        f"largest {one['largest']:.4g}{unit}"
    )


def _reading(one: Mapping[str, Any]) -> str:
    unit = "logit" if one["attribute"] == "sex" else one["attribute"].rsplit("_", 1)[-1]
    silent = "" if one["can_read"] else "; does not read it off unseen subjects, has no say"
    return (
        f"{one['predictor']} ({one['role']}), {one['attribute']}: {one['before']:.2f} -> "
        f"{one['after']:.2f} {unit} ({one['expected']:.2f}, {one['typical_error']:.2f}){silent}"
    )


def _twin(one: Mapping[str, Any]) -> str:
    return (
        f"{one['predictor']}, {one['attribute']}: {one['before']:.2f} -> {one['after']:.2f}, "
        f"without the source {one['unseen_before']:.2f} -> {one['unseen_after']:.2f}"
    )


def _no_warning(record: Mapping[str, Any]) -> str:
    read = bool(record["twin_readings"])
    return (
        "none: both agree" if read else "not known: no such predictors are stored, or none drives"
    )
