"""An ONNX predictor where PyTorch modules are expected: as a reader, which needs no gradient."""

from pathlib import Path

import torch
from torch import Tensor, nn

from qctkit.predictors.onnx_graph import model_bytes
from qctkit.predictors.onnx_scoring import OnnxPredictor


class OnnxModule(nn.Module):
    """Images ``(N, 2, D, H, W)`` (HU, femur share) to estimates ``(N, A)``, by ONNX Runtime."""

    def __init__(self, predictor: OnnxPredictor) -> None:
        super().__init__()
        self.predictor = predictor

    def forward(self, image: Tensor) -> Tensor:
        """Return estimates ``(N, A)`` in years, kg and logits; no gradient passes."""
        return torch.from_numpy(self.predictor.score(image.detach().numpy())).to(image.dtype)

    def save(self, path: Path) -> None:
        """Write the model with its description."""
        path.write_bytes(model_bytes(self.predictor.model, self.predictor.description))
