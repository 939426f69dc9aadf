"""What ``raresim`` and ``python -m raresim`` start: the command line, which need not be loaded to print the version."""

import sys

from raresim import __version__


def main() -> None:
    """Entry point of the ``raresim`` command."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"{__version__}\n")
        return
    from raresim.shell.cli import main as shell

    shell()


if __name__ == "__main__":
    main()
