"""What ``python -m raresim`` starts: the command line, as ``raresim`` does."""

from raresim.shell.cli import main

if __name__ == "__main__":
    main()
