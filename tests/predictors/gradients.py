"""Predictors with drawn weights, whose gradients tests compare."""

import numpy as np
import torch
from torch import nn

from qctkit.contracts import PredictorFamily, Role
from qctkit.gradients import Asked
from qctkit.predictors.skill import Response, Skill
from qctkit.predictors.trained import TrainedPredictor
from qctkit.view import View

SKILL = Skill(29, {"rmse": 6.0}, Response(0.6, 20.0, 5.0), 0.4)
DRAWN = ("coefficients", "weights", "sex_weights")
"""Buffers that are zero before a fit; drawn, so that there is a gradient."""


def predictor_of(
    module: nn.Module, view: View, name: str, attributes: tuple[str, ...] = ("age_years",)
) -> TrainedPredictor:
    """Return a module as a predictor of the loop."""
    skills = dict.fromkeys(attributes, SKILL)
    return TrainedPredictor(name, name, Role.LOOP, attributes, view, module, skills, {})


def drawn(family: PredictorFamily, view: View) -> TrainedPredictor:
    """Return a predictor of a family with weights drawn from a seed."""
    torch.manual_seed(0)
    module = family.build(family.attributes, view)
    for name, values in module.named_buffers():
        if name.endswith(DRAWN):
            values.copy_(0.01 * torch.randn(values.shape))
    return predictor_of(module, view, family.name, tuple(family.attributes))


def missed(predictor: TrainedPredictor, images: np.ndarray, by: float = 0.75) -> Asked:
    """Return what the readings of images miss by some of their own units."""
    with torch.no_grad():
        read = predictor.module(torch.from_numpy(images)).numpy()
    return Asked((read - by).astype(np.float32), np.ones_like(read), np.zeros_like(read))
