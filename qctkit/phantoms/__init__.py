"""Scan to calibration: rods of a phantom, the patient's own tissues, or a line that is stated."""
