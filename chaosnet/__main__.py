"""``python -m chaosnet``: the command line without its script."""

from chaosnet.cli import main

main()
