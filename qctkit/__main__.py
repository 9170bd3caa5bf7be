"""``python -m qctkit``."""

from qctkit.cli.main import main

if __name__ == "__main__":
    main()
