"""``python -m tierlens`` is the ``tierlens`` command."""

from tierlens.cli import main

if __name__ == "__main__":
    main()
