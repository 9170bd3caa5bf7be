"""A gradient graph that someone else made: tried before it may drive, since nothing else vouches.

There is no PyTorch to compare it with, so it is held to what it says itself: its readings are
those of the model that it came with, its losses those of its term, and its gradient leads where
its own losses fall, and by as much.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from qctkit.contracts import AttributeTerm
from qctkit.errors import PredictorError
from qctkit.gradients import Array, Asked, Gradients
from qctkit.predictors.gradient_check import Errors, femur_images, reference_of
from qctkit.predictors.gradient_description import GradientDescription
from qctkit.predictors.gradient_eager import asked_costs, told
from qctkit.predictors.gradient_onnx import REFERENCE_IMAGES, OnnxGradients
from qctkit.predictors.onnx_description import Description
from qctkit.predictors.onnx_graph import read_model
from qctkit.predictors.onnx_scoring import Hardware, OnnxPredictor
from qctkit.subject import ATTRIBUTES

SAME_WITHIN = 1e-4
"""Difference allowed of readings and losses from those expected, relative to values of at least 1,
and of a batch's gradients from those of its images one by one, relative to their size."""

SLOPE_WITHIN = 0.05
"""Share by which the loss may fall by more or less than the gradient says: kinks of the model, and
float32 on so short a way."""

STEP = 0.02
"""Share of the loss that a step along the gradient should take off it."""

MISSED_BY = 0.75
"""Typical errors by which readings miss what is wanted: within the square of every term."""

ELSEWHERE = Errors(losses=5e-5, readings=5e-5, gradient=5e-4)
"""How far the same graph may lie off on another machine: float32, twice this is allowed [A]."""


def try_gradient(
    path: Path,
    predictor: OnnxPredictor,
    described: Description,
    term: AttributeTerm,
) -> OnnxGradients:
    """Return the gradient graph in a file, with a reference to know it by, once it has passed.

    Args:
        path: of the graph.
        predictor: the model that it came with.
        described: the same, with those of its attributes that were measured.
        term: what it says that missing a reading costs.

    Raises:
        PredictorError: the file cannot be used, or does not do what is expected of it.
    """
    names = described.attributes
    images = femur_images(described.view, REFERENCE_IMAGES)
    read = predictor.score(images)[:, [predictor.attributes.index(one) for one in names]]
    errors = [described.skills[one].response.residual_sd for one in names]
    typical_error = np.array([one if one > 0.0 else 1.0 for one in errors])
    side = np.array([-1.0 if ATTRIBUTES[one].kind == "binary" else 0.0 for one in names])
    all_of = (read - MISSED_BY * typical_error, 1.0 / typical_error, side)
    asked = Asked(*(np.broadcast_to(one, read.shape).astype(np.float32) for one in all_of))

    def graph(found: Gradients) -> OnnxGradients:
        reference = reference_of(images, asked, found, ELSEWHERE)
        told_of = GradientDescription(described, term.name, reference)
        return OnnxGradients(model, told_of, Hardware(threads=1), str(path))

    model = read_model(path)
    unknown = Gradients(np.zeros(len(images)), np.zeros_like(read), np.zeros((len(images), 1)))
    untried = graph(unknown)
    found = untried(images, asked)
    doubt = _doubt(untried, images, asked, found, read, term)
    if doubt:
        raise PredictorError(f"{path}: {doubt}; it cannot drive")
    return graph(found)


def _doubt(
    graph: OnnxGradients,
    images: Array,
    asked: Asked,
    found: Gradients,
    read: Array,
    term: AttributeTerm,
) -> str:
    """Return what a graph does that it must not, empty where it does all right."""
    if not _close(found.readings, read):
        return (
            f"the gradient graph reads {found.readings.tolist()} where the model reads "
            f"{read.tolist()}"
        )
    for side in (asked.side, -asked.side):
        other = Asked(asked.wanted, asked.weight, side)
        losses = graph(images, other).losses
        wanted, weight, of_side = (torch.from_numpy(one) for one in told(other))
        costs = asked_costs(torch.from_numpy(found.readings), wanted, weight, of_side, term)
        if not _close(losses, costs.sum(dim=1).numpy()):
            return (
                f"its losses are {losses.tolist()} where {term.name} gives "
                f"{costs.sum(dim=1).tolist()}"
            )
    one = slice(1, 2)
    alone = graph(images[one], asked.take(one)).gradient
    size = float(np.linalg.norm(alone))
    if not np.linalg.norm(found.gradient[one] - alone) <= SAME_WITHIN * size or size == 0.0:
        return "an image's gradient is nothing, or differs where it is given with another image"
    silent = graph(images, Asked(asked.wanted, np.zeros_like(asked.weight), asked.side))
    if silent.losses.any() or silent.gradient.any():
        return "readings that are not asked for, with a weight of 0, cost or move something"
    return _wrong_slope(lambda moved: graph(moved, asked).losses, images, found)


def _wrong_slope(losses: Callable[[Array], Array], images: Array, found: Gradients) -> str:
    """Return where losses do not change as the gradient says, empty where they do.

    Channel by channel, along the half of the gradient that lies in every second voxel: a gradient
    that is too long, or lies in the wrong places, changes the loss by something else.
    """
    every_second = np.indices(images.shape[2:]).sum(axis=0) % 2 == 0
    for channel, name in enumerate(("HU", "the femur's share")):
        along = np.zeros_like(found.gradient)
        along[:, channel] = found.gradient[:, channel] * every_second
        square = (along.astype(np.float64) ** 2).sum(axis=(1, 2, 3, 4))
        if not square.any():
            continue
        step = STEP * found.losses / np.maximum(square, np.finfo(np.float64).tiny)
        shift = (step[:, None, None, None, None] * along).astype(np.float32)
        fell = (losses(images + shift) - losses(images - shift)) / (2.0 * STEP * found.losses)
        if not (np.abs(fell - 1.0) <= SLOPE_WITHIN).all():
            return (
                f"along its gradient of {name} the loss changes by {_shares(fell)} of what the "
                "gradient says"
            )
    return ""


def _close(found: Array, expected: Array) -> bool:
    apart = np.abs(found - expected) <= SAME_WITHIN * np.maximum(np.abs(expected), 1.0)
    return found.shape == expected.shape and bool(apart.all())


def _shares(values: Array) -> str:
    return " and ".join(f"{value:.2f}" for value in values.tolist())
