"""What made a file: the versions that decide its bytes."""

from importlib.metadata import PackageNotFoundError, version

import qctkit

DECISIVE = ("torch", "numpy", "scipy", "onnxruntime-gpu", "onnxruntime", "h5py", "scikit-learn")


def versions() -> dict[str, str]:
    """Return the version of qctkit and of every library whose arithmetic shapes the result."""
    found = {"qctkit": qctkit.__version__}
    for name in DECISIVE:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
