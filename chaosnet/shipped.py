"""Where the experiments, labs and manifests that come with chaosnet are on this machine.

A wheel carries them inside the package; a checkout has them beside it.  Reads nothing.
"""

from pathlib import Path

_INSTALLED = Path(__file__).parent / "experiments"
_CHECKOUT = Path(__file__).parent.parent / "experiments"


def experiments() -> Path:
    """The folder with ``labs/``, ``incidents/``, ``lessons/`` and ``manifests/``."""
    return _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT


def default_lab() -> Path:
    """The topology file of the default lab: two clusters, three nodes each, two transit routers."""
    return experiments() / "labs" / "two-clusters.yaml"
