"""Which BGP sessions lie between two places, and whether all of them are Established.  Reads what BIRD last said."""

from collections import deque
from collections.abc import Mapping
from itertools import pairwise
from time import monotonic

from chaosnet.lab import bird
from chaosnet.lab.topology import Topology
from chaosnet.model.edge import Edge, Observation, State
from chaosnet.model.inventory import Inventory, Site, one
from chaosnet.model.question import BgpSession


def chain(topology: Topology, source: str, destination: str) -> tuple[str, ...]:
    """Speakers from one to the other, each a peer of the next; the shortest such way, or empty where there is none."""
    came = {source: ""}
    waiting = deque([source])
    while waiting:
        here = waiting.popleft()
        if here == destination:
            way = [here]
            while came[way[0]]:
                way.insert(0, came[way[0]])
            return tuple(way)
        for peer in bird.peers(topology, here):
            if peer.namespace not in came:
                came[peer.namespace] = here
                waiting.append(peer.namespace)
    return ()


def speaker(site: Site) -> str:
    """The speaker that announces a site: itself, or a pod's node; empty for a peer without a place."""
    if site.kind == "router":
        return site.name
    return f"{site.cluster}/{site.node or site.name}" if site.kind in ("pod", "node") else ""


def observe(edge: Edge, inventory: Inventory, topology: Topology, sessions: Mapping[str, tuple[BgpSession, ...]]) -> Observation:
    """The state of a bgp edge: open where every session on its way is Established, as both of its ends see it."""
    began = monotonic()
    ends = [speaker(one(inventory, end, f"{edge.name}")) for end in (edge.source, edge.destination)]
    way = chain(topology, ends[0], ends[1]) if all(ends) else ()
    if len(way) < 2:
        return Observation(edge.name, State.UNKNOWN, began, 0.0, "there are no two BGP speakers at its ends")
    for near, far in pairwise(way):
        for here, there in ((near, far), (far, near)):
            name = there.rpartition("/")[2]
            seen = next((session for session in sessions.get(here, ()) if session.neighbor == name), None)
            if seen is None or not seen.established:
                state = seen.state if seen is not None else "no BIRD"
                return Observation(edge.name, State.TIMED_OUT, began, 0.0, f"{here} with {there}: {state}")
    return Observation(edge.name, State.OPEN, began, 0.0, " - ".join(way))
