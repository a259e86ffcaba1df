"""From a place to packets: which way they pass it, and which edges would notice a fault there.

Faults on packets ask two questions of the inventory.  *Where do I cut?* (:func:`spots`): a site and a direction become
concrete spots with an ingress or egress side, so that each packet is met once.  *Who would notice?* (:func:`witnesses`):
edges between pods whose traffic must pass the place, for the fault to be measured on.  Pure: nothing is probed here, and
whether a witness really gets through is left to the measurement before the fault.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from chaosnet.errors import InputError, Refused
from chaosnet.model.change import Match
from chaosnet.model.edge import Edge
from chaosnet.model.endpoint import Endpoint
from chaosnet.model.inventory import Inventory, Node, Pod, Site

# "to" is what goes from the place to its peer, "from" what comes back: the words of Chaos Mesh's NetworkChaos.
DIRECTIONS = ("both", "to", "from")
_MOST_WITNESSES = 64


@dataclass(frozen=True, slots=True)
class Spot:
    """One side of one site, and the packets meant there."""

    site: Site
    direction: str
    match: Match


@dataclass(frozen=True, slots=True)
class Witness:
    """An edge whose traffic passes the place; ``outward`` if it begins on the place's own side."""

    edge: Edge
    outward: bool


def pod_site(pod: Pod) -> Site:
    """The site that a pod is."""
    return Site("pod", pod.cluster, pod.namespace, pod.name, pod.node, pod.addresses)


def endpoint_of(site: Site) -> Endpoint:
    """The endpoint that names exactly this site."""
    if site.kind == "address":
        return Endpoint("ip", name=site.name)
    kind = {"router": "node"}.get(site.kind, site.kind)
    return Endpoint(kind, site.cluster, site.namespace, site.name)


def carriers(sites: Iterable[Site], inventory: Inventory, place: str) -> tuple[Site, ...]:
    """Where changes can sit: a Service stands for the pods behind it, and ``node:cluster/*`` for no router.

    Raises InputError for a Service with no pod behind it, and for a bare address, which is no place of ours.
    """
    found: dict[str, Site] = {}
    for site in sites:
        if site.kind == "address":
            raise InputError(place, f"nothing can be put at {site}", "name a pod, a node or a hop")
        if site.kind == "service":
            behind = [pod_site(pod) for pod in inventory.pods if set(pod.addresses) & set(site.addresses)]
            if not behind:
                raise InputError(place, f"no pod is behind {site}", "choose a Service with ready endpoints")
            found.update((str(pod), pod) for pod in behind)
        else:
            found[str(site)] = site
    # Routers are nodes by their address grammar; somebody who says "all nodes" does not mean them.
    nodes = any(site.kind == "node" and not site.interface for site in found.values())
    return tuple(site for site in found.values() if not (nodes and site.kind == "router"))


def peer_addresses(sites: Iterable[Site], inventory: Inventory) -> tuple[str, ...]:
    """What a rule must name to mean these peers: a node means its pods too, a Service its address and its pods.

    Pods also mean the Services that have no other pods behind them: their answers come from the Service's address as long as
    the client used it (without SNAT, translation is undone on the server's own node), so rules on pod addresses alone would miss
    all that.
    """
    sites = tuple(sites)
    ranges = {(node.cluster, node.name): node.pod_ranges for node in inventory.nodes}
    named = {address for site in sites for address in site.addresses}
    in_front = tuple(
        address
        for service in inventory.services
        if service.backends and set(service.backends) <= named
        for address in service.addresses
    )
    own = (
        address
        for site in sites
        for address in (
            *site.addresses,
            *(ranges.get((site.cluster, site.name), ()) if site.kind in ("node", "router") else ()),
        )
    )
    return tuple(dict.fromkeys((*own, *in_front)))


def family(address: str) -> str:
    """``ipv4`` or ``ipv6``."""
    return "ipv6" if ":" in address else "ipv4"


def refuse_half(sites: Iterable[Site], inventory: Inventory, place: str) -> None:
    """Refused where a bare address is one of two families of a known pod or node: traffic would walk round the rule.

    Dual-stack traffic passing a rule for one family is a fault that does nothing (chaos-mesh#3425, chaos-mesh#3466).
    """
    for site in sites:
        if site.kind == "address":
            owners: tuple[Pod | Node, ...] = (*inventory.pods, *inventory.nodes)
            for owner in owners:
                if site.name in owner.addresses and len({family(a) for a in owner.addresses}) > 1:
                    other = next(a for a in owner.addresses if family(a) != family(site.name))
                    raise Refused(
                        f"{place}: {site.name} is {owner.cluster}/{owner.name}, which is also {other}: traffic would go "
                        "round by the other family; name the pod or node instead of its address"
                    )


def spots(sites: tuple[Site, ...], direction: str, match: Match, peers: tuple[str, ...] = ()) -> tuple[Spot, ...]:
    """The sides of ``sites`` at which ``direction`` (both, to, from) cuts what goes to, or comes from, ``peers``.

    Without peers a hop means its edge's far end, and other places everything.  Every packet is met once: on a link each end
    has what leaves towards the other; a router without a peer has no inside and outside, so there only ``both`` makes
    sense (Refused otherwise).  A site's own addresses are never its peer.
    """
    found: list[Spot] = []
    ends = 0
    for site in sites:
        there = tuple(address for address in (peers or site.toward) if address not in site.addresses)
        if peers and not there:
            continue
        out, back = (
            replace(match, sources=site.across, destinations=there),
            replace(match, sources=there, destinations=site.across),
        )
        if site.interface:
            if there:
                ways = [("egress", out)] * (direction != "from") + [("egress", back)] * (direction != "to")
            else:
                # Both ends of the link are here, the first one first: "to" is from the first to the second.
                first = ends % 2 == 0
                ways = [("egress", match)] * (direction == "both" or first == (direction == "to"))
            ends += 1
        elif site.kind == "router":
            if not there and direction != "both":
                raise Refused(f"{site} has no inside, so nothing goes {direction!r} it; name a peer, or use link:A--B")
            ways = [("ingress", out)] if not there else (
                [("ingress", out)] * (direction != "from") + [("ingress", back)] * (direction != "to")
            )  # fmt: skip
        else:
            ways = [("egress", out)] * (direction != "from") + [("ingress", back)] * (direction != "to")
        found += [Spot(site, side, packets) for side, packets in ways]
    if not found:
        raise Refused("the peer is the place itself: what it sends to itself does not pass here; choose another peer")
    return tuple(found)


def listening(inventory: Inventory, address: str) -> tuple[tuple[str, int], ...]:
    """Protocol and port of everything a Service says is behind ``address``."""
    return tuple(
        dict.fromkeys(
            (port.protocol, port.target)
            for service in inventory.services
            if address in service.backends
            for port in service.ports
        )
    )


def inside(site: Site, inventory: Inventory) -> tuple[Site, ...]:
    """The pods (or, where there is none, the node itself) on the site's own side."""
    if site.kind == "pod":
        return (site,)
    pods = [pod for pod in inventory.pods if pod.ready and not pod.host_network]
    if site.across:
        mine = [p for p in pods if set(p.addresses) & set(site.across) and (site.kind != "node" or p.node == site.name)]
        if not mine:
            nodes = [n for n in inventory.nodes if set(n.addresses) & set(site.across)]
            return tuple(Site(n.role, n.cluster, "", n.name, n.name, n.addresses) for n in nodes)
    elif site.kind == "router":
        mine = [p for p in pods if p.cluster == site.cluster and p.node != site.interface]
    else:
        mine = [p for p in pods if p.cluster == site.cluster and p.node == site.name]
    return tuple(map(pod_site, mine)) or ((site,) if site.kind == "node" else ())


def outside(site: Site, inventory: Inventory, elsewhere: bool) -> tuple[Site, ...]:
    """Pods whose traffic with :func:`inside` passes the site: for a hop its edge's far end, else pods on other nodes.

    Pods that listen come first, and of those the nearest (same cluster) or, with ``elsewhere``, those of other clusters.
    """
    pods = [pod for pod in inventory.pods if pod.ready and not pod.host_network]
    if site.toward:
        # A hop's edge may end at a Service: its pods stand for it, on their own addresses.
        theirs = [pod_site(pod) for pod in pods if set(pod.addresses) & set(site.toward)]
        if not theirs:
            nodes = [node for node in inventory.nodes if set(node.addresses) & set(site.toward)]
            theirs = [Site(n.role, n.cluster, "", n.name, n.name, n.addresses) for n in nodes]
        return tuple(theirs) or tuple(Site("address", name=a, addresses=(a,)) for a in site.toward)
    elsewhere = elsewhere or site.kind == "router" or bool(site.interface)
    far = [pod for pod in pods if (pod.cluster, pod.node) != (site.cluster, site.node)]
    if site.kind == "pod" and not far:
        far = [pod for pod in pods if pod.name != site.name]

    def rank(pod: Pod) -> tuple[bool, bool]:
        # A DNS server's TCP port is for large answers only (RFC 7766): no good partner for anything else.
        deaf = not any(port != 53 for address in pod.addresses for _, port in listening(inventory, address))
        return (pod.cluster != beyond if beyond else (pod.cluster == site.cluster) == elsewhere, deaf)

    # Beyond a link that joins two clusters lies the other one.
    beyond = next((n.cluster for n in inventory.nodes if n.name == site.interface and n.cluster != site.cluster), "")
    if site.kind == "router":
        far = [pod for pod in far if pod.cluster != site.cluster] or far
    return tuple(map(pod_site, sorted(far, key=rank)))


def edge_between(source: Site, destination: Site, inventory: Inventory, protocol: str = "", port: int = 0) -> Edge | None:
    """An edge from ``source`` to ``destination`` that should get an answer, or None where nothing there is known to listen.

    ``protocol`` empty prefers TCP and falls back on ICMP; ``port`` 0 is any.
    """
    if source.kind not in ("pod", "node", "router"):
        return None
    for kind in (protocol,) if protocol else ("tcp", "icmp"):
        if kind != "icmp":
            for number in _ports(destination, inventory, kind, port):
                return _edge(source, destination, kind, number)
        elif not port and destination.kind != "service":
            return _edge(source, destination, "icmp", 0)
    return None


def _ports(site: Site, inventory: Inventory, protocol: str, port: int) -> Iterator[int]:
    """The port numbers to try at ``site``, of those that ``port`` (0: any) lets."""
    if site.kind == "service":
        for service in inventory.services:
            if (service.cluster, service.namespace, service.name) == (site.cluster, site.namespace, site.name):
                yield from (p.port for p in service.ports if p.protocol == protocol and port in (0, p.port, p.target))
        return
    for address in site.addresses:
        yield from (number for kind, number in listening(inventory, address) if kind == protocol and port in (0, number))
        for service in inventory.services:
            if address in service.addresses:
                yield from (p.port for p in service.ports if p.protocol == protocol and port in (0, p.port))
    if port and site.kind == "address":
        yield port


def both_ports(port: int, sites: Iterable[Site], inventory: Inventory) -> tuple[int, ...]:
    """``port`` and, where a Service among ``sites`` translates it, its other side: a rule may sit on either side of that."""
    names = {(site.cluster, site.namespace, site.name) for site in sites if site.kind == "service"}
    ports = [
        number
        for service in inventory.services
        if (service.cluster, service.namespace, service.name) in names
        for p in service.ports
        if port in (p.port, p.target)
        for number in (p.port, p.target)
    ]
    return tuple(dict.fromkeys((port, *ports)))


def _edge(source: Site, destination: Site, protocol: str, port: int) -> Edge:
    name = f"{source} → {destination}" + (f":{port}" if port else "") + f"/{protocol}"
    return Edge(name, endpoint_of(source), endpoint_of(destination), protocol, port)


def witnesses(
    near: Iterable[Site],
    far: Iterable[Site],
    inventory: Inventory,
    protocol: str = "",
    port: int = 0,
    most: int = _MOST_WITNESSES,
) -> tuple[Witness, ...]:
    """At most ``most`` edges between two sides: outward where the far side answers, else inward where the near side does.

    Every near site is paired before any is paired twice.  Empty where nothing on either side is known to answer.
    """
    near, far = tuple(near), tuple(far)
    found: dict[str, Witness] = {}
    for turn in range(len(far)):
        for index, here in enumerate(near):
            there = far[(turn + index) % len(far)] if len(near) > 1 else far[turn]
            if set(here.addresses) & set(there.addresses):
                continue
            edge, outward = edge_between(here, there, inventory, protocol, port), True
            if edge is None or (edge.protocol == "icmp" and not protocol):
                back = edge_between(there, here, inventory, protocol, port)
                if back is not None and (edge is None or back.protocol != "icmp"):
                    edge, outward = back, False
            if edge is not None:
                found.setdefault(edge.name, Witness(edge, outward))
            if len(found) >= most:
                return tuple(found.values())
    return tuple(found.values())
