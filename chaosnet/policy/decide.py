"""May this end reach that one?  Kubernetes NetworkPolicy decided for one connection, and which policy decided.

A connection needs the source's egress and the destination's ingress.  A pod is isolated for a direction once a policy of its
namespace selects it and governs that direction; then the union of the rules of all such policies admits, and the rest is
denied.  Policies see packets after a Service's address translation.  Plugins' differences are in
:mod:`chaosnet.policy.semantics`, and the same matching serves :mod:`chaosnet.policy.compile`.

Not here: Calico's and Cilium's own policy kinds, ClusterNetworkPolicy, host endpoints, L7 rules, and what a plugin does to
established flows (the compiled rules do that).  A pod's traffic to itself is always allowed (Kubernetes leaves it undefined).
"""

import ipaddress
from dataclasses import dataclass

from chaosnet.policy.kubernetes import NetworkPolicy, Peer, Port, Rule
from chaosnet.policy.semantics import Semantics
from chaosnet.policy.world import Address, End, Node, Pod, World


@dataclass(frozen=True, slots=True)
class Program:
    """The rules that govern one pod in one direction; ``policies`` is what isolates it."""

    pod: Pod
    direction: str
    semantics: Semantics
    policies: tuple[NetworkPolicy, ...]

    def rules(self) -> tuple[tuple[NetworkPolicy, int, Rule], ...]:
        """Every rule with its policy and its index there."""
        return tuple((p, index, rule) for p in self.policies for index, rule in enumerate(p.rules(self.direction)))


@dataclass(frozen=True, slots=True)
class Side:
    """One end's say.  ``policies`` isolate it (empty: nothing does); ``by`` is the policy and rule that admits."""

    allowed: bool
    policies: tuple[str, ...] = ()
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Both sides' say, in one sentence too."""

    egress: Side
    ingress: Side

    @property
    def allowed(self) -> bool:
        """Whether both sides admit the connection."""
        return self.egress.allowed and self.ingress.allowed

    @property
    def sentence(self) -> str:
        """Which policy decided, for people."""
        denied = [side.reason for side in (self.egress, self.ingress) if not side.allowed]
        return "; ".join(denied or dict.fromkeys((self.egress.reason, self.ingress.reason)))


def program(world: World, pod: Pod, direction: str) -> Program | None:
    """What governs ``pod`` in ``direction`` ("ingress" or "egress"), or None where nothing does.

    Nothing governs pods on the host's network (policies do not apply to them, by common practice) and pods on nodes whose
    plugin enforces nothing.
    """
    semantics = world.node_of(pod).semantics
    if pod.host_network or not semantics.enforces:
        return None
    found = tuple(
        policy
        for policy in world.policies.get((pod.cluster, pod.namespace), ())
        if policy.pods.matches(pod.labels)
        and direction in (policy.isolates | policy.written if semantics.ignores_types else policy.isolates)
    )
    return Program(pod, direction, semantics, found) if found else None


def decide(world: World, source: End, destination: End, protocol: str, port: int = 0) -> Decision:
    """Whether ``source`` may open a connection to ``port`` of ``destination``.

    ``protocol`` is TCP, UDP, SCTP, or another name such as ICMP, which only rules without ports admit.
    """
    if source == destination:
        loop = Side(True, reason="a pod's traffic to itself is not policed")
        return Decision(loop, loop)
    if isinstance(source, Node) and isinstance(destination, Pod) and destination.node == source.name:
        # The kubelet must always reach its pods (Kubernetes, "Network Policies": resident node).
        own = Side(True, reason="a node always reaches its own pods")
        return Decision(own, own)
    return Decision(
        _side(world, source, "egress", destination, protocol.upper(), port),
        _side(world, destination, "ingress", source, protocol.upper(), port),
    )


def _side(world: World, subject: End, direction: str, other: End, protocol: str, port: int) -> Side:
    ruling = program(world, subject, direction) if isinstance(subject, Pod) else None
    if ruling is None:
        return Side(True, reason=f"no policy governs {direction} of {subject}")
    names = tuple(str(policy) for policy in ruling.policies)
    for policy, index, rule in ruling.rules():
        if _admits(world, ruling, policy, rule, other, protocol, port):
            by = f"{policy} {direction}[{index}]"
            return Side(True, names, by, f"{by} admits {other}")
    what = f"{port}/{protocol}" if port and protocol in ("TCP", "UDP", "SCTP") else protocol
    return Side(False, names, "", f"no {direction} rule of {', '.join(names)} on {subject} admits {other} ({what})")


def _admits(world: World, ruling: Program, policy: NetworkPolicy, rule: Rule, other: End, protocol: str, port: int) -> bool:
    if rule.ports and not any(
        each.protocol == protocol and any(low <= port <= high for low, high in numbers(world, ruling, each, other))
        for each in rule.ports
    ):
        return False
    return not rule.peers or any(peer_matches(world, ruling, policy, peer, other) for peer in rule.peers)


def numbers(world: World, ruling: Program, port: Port, other: End) -> tuple[tuple[int, int], ...]:
    """The ranges of numbers that a rule's port means between the ruled pod and ``other``; a name that fits nothing means none."""
    if port.port is None:
        return ((0, 65535),)
    if isinstance(port.port, int):
        return ((port.port, port.end or port.port),)
    if ruling.direction == "egress" and ruling.semantics.cluster_wide_names:
        known = cluster_names(world, ruling, port)
        return tuple((number, number) for number in known) if len(known) == 1 else ()
    owner = ruling.pod if ruling.direction == "ingress" else other
    return tuple((number, number) for number in sorted(named(owner, port))) if isinstance(owner, Pod) else ()


def named(pod: Pod, port: Port) -> frozenset[int]:
    """The numbers that a pod's containers give to a port's name and protocol."""
    return frozenset(number for name, protocol, number in pod.ports if (name, protocol) == (port.port, port.protocol))


def cluster_names(world: World, ruling: Program, port: Port) -> frozenset[int]:
    """The numbers that all pods which the plugin manages give to a port's name."""
    return frozenset().union(*(named(pod, port) for pod in world.pods if is_managed(world, ruling, pod)))


def is_managed(world: World, ruling: Program, end: End) -> bool:
    """Whether the ruled pod's plugin knows ``end`` as a pod or node of its own cluster, by more than its address."""
    if not isinstance(end, Pod | Node) or end.cluster != ruling.pod.cluster:
        return False
    node = end if isinstance(end, Node) else world.node_of(end)
    return not ruling.semantics.strangers_are_world or node.semantics.name == ruling.semantics.name


def peer_matches(world: World, ruling: Program, policy: NetworkPolicy, peer: Peer, other: End) -> bool:
    """Whether one peer of a rule means ``other``.  A selector means pods of the policy's own cluster only."""
    managed = is_managed(world, ruling, other)
    as_pod = isinstance(other, Pod) and not other.host_network
    if peer.block is not None:
        matchable = ruling.semantics.blocks_match_pods if as_pod else ruling.semantics.blocks_match_nodes
        return (matchable or not managed) and any(_in_block(peer, address) for address in _addresses(other))
    if not managed or not isinstance(other, Pod) or other.host_network:
        return ruling.semantics.absence_matches_world and selects_absence(peer)
    if peer.namespaces is None:
        if other.namespace != policy.namespace:
            return False
    elif not peer.namespaces.matches(world.labels(other.cluster, other.namespace)):
        return False
    return peer.pods is None or peer.pods.matches(other.labels)


def selects_absence(peer: Peer) -> bool:
    """Whether a peer's selectors hold for something that has no labels at all, though they ask for something."""
    asks = peer.namespaces is not None and peer.namespaces.only_negative
    return asks and (peer.pods is None or not peer.pods.requirements or peer.pods.only_negative)


def _addresses(end: End) -> tuple[Address, ...]:
    return end.addresses if isinstance(end, Pod | Node) else (end,)


def _in_block(peer: Peer, address: Address) -> bool:
    block = peer.block
    return (
        block is not None and _contains(block.network, address) and not any(_contains(inner, address) for inner in block.excepted)
    )


def _contains(network: ipaddress.IPv4Network | ipaddress.IPv6Network, address: Address) -> bool:
    return network.version == address.version and address in network
