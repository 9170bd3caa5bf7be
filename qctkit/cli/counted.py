"""Numbers of things in words."""


def counted(number: int, thing: str) -> str:
    """Return ``1 sample`` or ``2 samples``; a thing takes an s where there are several."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
