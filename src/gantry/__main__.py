"""``python -m gantry``."""

from gantry.cli import main

if __name__ == "__main__":
    main()
