"""Volumes to femur masks."""

from qctkit.segmentation.segment import Segmentation, SegmentedFemur, segment_femora
from qctkit.segmentation.side import femur_side

__all__ = ["Segmentation", "SegmentedFemur", "femur_side", "segment_femora"]
