"""Volumes to femur masks."""

from qctkit.segmentation.segment import segment_femora
from qctkit.segmentation.side import femur_side

__all__ = ["femur_side", "segment_femora"]
