"""MONAI's residual regressor on the whole view of a hip."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from monai.networks.nets import Regressor
from torch import Tensor, nn

from qctkit.plugin import Role, TrainingData, View


class WindowedRegressor(nn.Module):
    """``(N, 2, D, H, W)`` (HU, femur share) to ``(N, A)``, in the attributes' own units."""

    mean: Tensor
    scale: Tensor

    def __init__(self, outputs: int, view: View, channels: Sequence[int]) -> None:
        super().__init__()
        self.low_hu, self.high_hu = view.window.low_hu, view.window.high_hu
        strides = [2] * len(channels)
        self.network = Regressor((2, *view.shape), (outputs,), channels, strides, num_res_units=1)
        self.register_buffer("mean", torch.zeros(outputs))
        self.register_buffer("scale", torch.ones(outputs))

    def standardised(self, image: Tensor) -> Tensor:
        """Return estimates in standard deviations from the mean, ``(N, A)``."""
        windowed = (image[:, :1] - self.low_hu) / (self.high_hu - self.low_hu)
        estimates: Tensor = self.network(torch.cat([windowed.clamp(0.0, 1.0), image[:, 1:]], dim=1))
        return estimates

    def forward(self, image: Tensor) -> Tensor:
        """Return estimates in years and kg."""
        return self.mean + self.scale * self.standardised(image)


@dataclass(frozen=True)
class MonaiRegressor:
    """MONAI's regressor, trained on squared errors of the values that are known.

    Attributes:
        channels: of each stage of the network, which halves the grid.
        epochs, learning_rate: of Adam, on all subjects at once.
    """

    name: str = "monai-regressor"
    role: Role = Role.READER
    attributes: tuple[str, ...] = ("age_years", "weight_kg")
    view: View = field(default_factory=View)
    on_request: bool = True
    channels: tuple[int, ...] = (8, 16, 32)
    epochs: int = 60
    learning_rate: float = 2e-3

    def build(self, attributes: Sequence[str], view: View) -> WindowedRegressor:
        """Return an untrained network."""
        return WindowedRegressor(len(attributes), view, self.channels)

    def fit(self, data: TrainingData, attributes: Sequence[str], seed: int) -> WindowedRegressor:
        """Return a network trained on the data, the same for the same seed."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            module = self.build(attributes, data.view)
        values = torch.stack([data.values[name] for name in attributes], dim=1)
        known = values.isfinite()
        module.mean.copy_(values.nanmean(dim=0))
        module.scale.copy_(((values - module.mean) ** 2).nanmean(dim=0).sqrt().clamp(min=1e-3))
        wanted = ((values - module.mean) / module.scale).nan_to_num()
        images = data.images[:]  # small enough to be in memory, all of them
        adam = torch.optim.AdamW(module.network.parameters(), lr=self.learning_rate)
        module.train()
        for _ in range(self.epochs):
            adam.zero_grad()
            errors = (module.standardised(images) - wanted)[known]
            (errors**2).mean().backward()
            adam.step()
        return module.eval()
