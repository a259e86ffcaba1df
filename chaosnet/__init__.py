"""Break your own network on purpose: proof that it broke, who noticed, and an undo that outlives us.

Holds the version and chaostoolkit's entrance, :func:`discover`.  Importing it imports nothing else: no chaostoolkit, no
Kubernetes, no netlink, so that ``chaosnet --help`` is quick.
"""

__version__ = "0.1.0"
__all__ = ["__version__", "discover"]


def discover(discover_system: bool = True) -> dict[str, object]:
    """What ``chaos discover chaosnet`` prints: every fault and probe on the shelves, and the control's name.

    Walks ``chaosnet.faults`` and ``chaosnet.probes``; a new file there is found without being listed anywhere.
    """
    import importlib
    import pkgutil
    from typing import Any

    from chaoslib.discovery.discover import discover_actions, discover_probes, initialize_discovery_result

    found: dict[str, Any] = initialize_discovery_result("chaosnet", __version__, "network")
    for shelf, read in (("chaosnet.faults", discover_actions), ("chaosnet.probes", discover_probes)):
        for entry in pkgutil.iter_modules(importlib.import_module(shelf).__path__, f"{shelf}."):
            if not entry.name.rpartition(".")[2].startswith("_"):
                found["activities"].extend(read(entry.name))
    return found
