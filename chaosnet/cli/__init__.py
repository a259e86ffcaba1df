"""The command line.  Holds the entrance only; each command is a file beside this one."""

import sys


def main() -> None:
    """Entrance of the ``chaosnet`` script."""
    if sys.argv[1:] == ["--version"]:  # asked by scripts, often: spares it the command line's own imports
        from chaosnet import __version__

        sys.stdout.write(f"chaosnet {__version__}\n")
        return
    try:
        from chaosnet.cli.frame import main as run

        sys.exit(run())
    except KeyboardInterrupt:  # before the frame was there to say so
        sys.exit(130)
