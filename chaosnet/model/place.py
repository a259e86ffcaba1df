"""Places: where a fault sits.  An endpoint, or a spot on the way of an edge::

    test/shop/client            the pod's own end
    node:test/worker-1          the node (both ways through it)
    hop:upload/source-pod       the source pod of the edge "upload", towards its destination
    hop:upload/source-node      the node of that pod, towards the destination
    hop:upload/destination-node, hop:upload/destination-pod   the same from the other end, towards the source
    link:A--B, transit:NAME     one link, or one transit router: these exist in the lab only

Text to value and back.  Which sites a place means is :func:`resolve`; which interface a target uses is the target's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from chaosnet.errors import InputError, Unsupported
from chaosnet.model.edge import Edge
from chaosnet.model.endpoint import Endpoint, parse_endpoint
from chaosnet.model.inventory import Inventory, Site, find, one

HOPS = ("source-pod", "source-node", "destination-node", "destination-pod")


@dataclass(frozen=True, slots=True)
class Place:
    """``kind`` is endpoint, hop, link or transit; ``name`` the edge, ``A--B`` or the router; ``spot`` one of HOPS."""

    kind: str
    name: str = ""
    spot: str = ""
    endpoint: Endpoint | None = None

    def __str__(self) -> str:
        if self.endpoint is not None:
            return str(self.endpoint)
        return f"{self.kind}:{self.name}" + (f"/{self.spot}" if self.spot else "")


def parse_place(text: object, place: str) -> Place:
    """The place that ``text`` writes; InputError naming the field ``place`` otherwise."""
    kind, colon, rest = text.partition(":") if isinstance(text, str) else ("", "", "")
    if not colon or kind not in ("hop", "link", "transit"):
        return Place("endpoint", endpoint=parse_endpoint(text, place))
    if kind == "hop":
        edge, _, spot = rest.rpartition("/")
        if not edge or spot not in HOPS:
            raise InputError(place, f"{text!r} names no spot of an edge", f"write hop:EDGE/ and one of {', '.join(HOPS)}")
        return Place("hop", edge, spot)
    if kind == "link" and len([end for end in rest.split("--") if end]) != 2:
        raise InputError(place, f"{text!r} does not name two ends", "write link:A--B")
    if not rest:
        raise InputError(place, f"{text!r} names nothing", "write transit:NAME")
    return Place(kind, rest)


def endpoint_place(text: object, place: str) -> Place:
    """The place that an endpoint is, for arguments that name a peer: hops, links and routers have no addresses of their own."""
    return Place("endpoint", endpoint=parse_endpoint(text, place))


def resolve(place: Place, edges: Mapping[str, Edge], inventory: Inventory, where: str = "") -> tuple[Site, ...]:
    """The sites that a place means now.  Never empty.

    Raises InputError where it names an unknown edge, link or router, or selects nothing; Unsupported where the target
    has no links or routers that it may touch.
    """
    if place.endpoint is not None:
        return find(inventory, place.endpoint, where)
    if place.kind == "hop":
        return _hop(place, edges, inventory, where)
    routers = {node.name for node in inventory.nodes if node.role == "router"}
    if not inventory.links:
        raise Unsupported(f"{where}: {place} exists in the lab only; use hop:EDGE/source-node or a node instead")
    by_name = {node.name: node for node in inventory.nodes}
    if place.kind == "transit":
        if place.name not in routers:
            raise InputError(where, f"there is no transit router {place.name!r}", f"there are {', '.join(sorted(routers))}")
        node = by_name[place.name]
        return (Site("router", node.cluster, "", node.name, node.name, node.addresses),)
    ends = tuple(place.name.split("--"))
    if ends not in inventory.links and ends[::-1] not in inventory.links:
        known = ", ".join("--".join(link) for link in inventory.links[:8])
        raise InputError(where, f"there is no link {place.name!r}", f"there are {known}")
    return tuple(
        Site(by_name[a].role, by_name[a].cluster, "", a, a, by_name[a].addresses, interface=b) for a, b in (ends, ends[::-1])
    )


def _hop(place: Place, edges: Mapping[str, Edge], inventory: Inventory, where: str) -> tuple[Site, ...]:
    edge = edges.get(place.name)
    if edge is None:
        raise InputError(where, f"{place} names the unknown edge {place.name!r}", f"declared are {', '.join(edges) or 'none'}")
    source, destination = one(inventory, edge.source, where), find(inventory, edge.destination, where)
    there = tuple(dict.fromkeys(address for site in destination for address in site.addresses))
    if place.spot.startswith("source"):
        sites: tuple[Site, ...] = (replace(source, toward=there, across=source.addresses),)
    else:
        backends = {a for site in destination for a in site.addresses}
        pods = [pod for pod in inventory.pods if backends & set(pod.addresses)]
        sites = tuple(
            Site("pod", p.cluster, p.namespace, p.name, p.node, p.addresses, toward=source.addresses, across=there) for p in pods
        )
        if not sites:
            raise InputError(where, f"no pod is behind {edge.destination}", "choose an edge that ends at a pod or a Service")
    if place.spot.endswith("pod"):
        if any(site.kind != "pod" for site in sites):
            raise InputError(where, f"the edge {edge.name!r} does not begin at a pod", "use the node's end")
        return sites
    nodes = {(node.cluster, node.name): node for node in inventory.nodes}
    found = {}
    for site in sites:
        node = nodes.get((site.cluster, site.node))
        if node is None:
            raise InputError(where, f"{site} is on no node that is there", "wait until it is scheduled, or choose another edge")
        found[node.name] = Site(
            "node", node.cluster, "", node.name, node.name, node.addresses, toward=site.toward, across=site.across
        )
    return tuple(found.values())
