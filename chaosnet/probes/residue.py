"""Is anything of ours left, or anything different from the snapshot taken before the run?

Compares rules, routes, sysctls, qdiscs, MTUs, objects and daemons.  What the network learned by itself is not residue.
"""

from typing import List

from chaosnet.engine import residue as comparison
from chaosnet.engine.session import current

__all__ = ["clean", "residue"]


def residue() -> List[str]:
    """Every difference from before the run, a sentence each; while a fault is on, that is the fault.

    Example::

        module: chaosnet.probes.residue
        func: residue
    """
    session = current()
    return list(comparison.compare(session.before, session.target.snapshot(), session.target.owned()))


def clean() -> bool:
    """True when nothing differs from before the run and nothing of ours is there.

    Example::

        module: chaosnet.probes.residue
        func: clean
    """
    return not residue()
