"""Where the experiments, labs and manifests that come with chaosnet are on this machine.

A wheel carries them inside the package; in a checkout there is a link to the folder at its top.  Reads nothing.
"""

from pathlib import Path


def experiments() -> Path:
    """The folder with ``labs/``, ``incidents/``, ``lessons/`` and ``manifests/``."""
    return Path(__file__).parent / "experiments"


def default_lab() -> Path:
    """The topology file of the default lab: two clusters, three nodes each, two transit routers."""
    return experiments() / "labs" / "two-clusters.yaml"
