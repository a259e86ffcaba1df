"""Where packets of an edge can be captured: at both pods, both nodes, and every router between.

Names of points are those of places (``source-pod``, ``source-node``, ``transit:NAME``, ``destination-node``,
``destination-pod``).  Captures nothing itself: see :mod:`chaosnet.targets.lab.recording`.
"""

from itertools import pairwise
from typing import TYPE_CHECKING

from chaosnet.lab.blueprint import BRIDGE, UPLINK, port_name
from chaosnet.model.edge import Edge
from chaosnet.model.inventory import Site, find, one
from chaosnet.targets.lab import adjacency
from chaosnet.targets.lab.namespaces import site_namespace

if TYPE_CHECKING:
    from chaosnet.targets.lab.lab import Lab

Point = tuple[str, str, str]


def points(lab: "Lab", edge: Edge) -> tuple[Point, ...]:
    """The points of an edge's path, in order: name, namespace, interface.

    Where the destination is a Service, its first ready backend stands for it.
    """
    inventory = lab.inventory()
    source = one(inventory, edge.source, edge.name)
    destination = _behind(lab, find(inventory, edge.destination, edge.name)[0])
    found: list[Point] = []
    if source.kind == "pod":
        found.append(("source-pod", site_namespace(source), UPLINK))
    first, last = adjacency.speaker(source), adjacency.speaker(destination) if destination is not None else ""
    found.append(("source-node", first, UPLINK))
    if last:
        way = adjacency.chain(lab.topology, first, last)
        # Each router on the side that the packets leave by: all points are Ethernet then, as readers of one file want it.
        found += [
            (f"transit:{here}", here, BRIDGE if "/" in onward else port_name(onward)) for here, onward in pairwise(way[1:])
        ]
        if last != first:
            found.append(("destination-node", last, UPLINK))
    if destination is not None and destination.kind == "pod":
        found.append(("destination-pod", site_namespace(destination), UPLINK))
    return tuple(found)


def _behind(lab: "Lab", site: Site) -> Site | None:
    if site.kind in ("pod", "node", "router"):
        return site
    for pod in lab.pods:
        if set(pod.addresses) & set(site.addresses):
            return Site("pod", pod.cluster, pod.namespace, pod.name, pod.node, pod.addresses)
    return None
