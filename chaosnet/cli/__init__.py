"""The command line.  Holds the entrance only; each command is a file beside this one."""


def main() -> None:
    """Entrance of the ``chaosnet`` script."""
    from chaosnet.cli.frame import main as run

    run()
