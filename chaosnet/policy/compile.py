"""Policies of one node's pods as nftables text (table ``inet lab_policy``).

Enforced where packets are forwarded to or from a pod, and where a pod talks to its own node; a node's own traffic to its pods
leaves through ``output`` and is not policed.  A verdict map leads from a pod's address to the chain of its rules, so that a
packet costs two lookups and one short chain, however many pods there are; pods with the same rules share a chain, rules with
the same addresses share a set.  In a chain ``return`` admits (the other end still has its say) and its end drops.

Replies and ICMP errors of admitted connections pass.  Live connections survive a new policy, except with plugins that
look the policy up again for every packet of the establishing direction.

What it must agree with is :mod:`chaosnet.policy.decide`, from which it takes who matches.  The text is made of addresses,
numbers and names generated here, never of an object's text.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from chaosnet.policy import decide, ranges
from chaosnet.policy.decide import Program
from chaosnet.policy.kubernetes import NetworkPolicy, Peer, Port, Rule
from chaosnet.policy.ranges import Ranges
from chaosnet.policy.world import End, Pod, World

TABLE = "lab_policy"
_PRIORITY = "filter"
#: A protocol with an inclusive range of ports, or None for anything at all.
_Ports = tuple[str, int, int] | None


@dataclass
class _Table:
    """What has been written so far: sets by their elements and chains by their rules, so that nothing is written twice."""

    sets: dict[Ranges, str] = field(default_factory=dict)
    chains: dict[tuple[str, ...], str] = field(default_factory=dict)

    def addresses(self, found: Ranges) -> str:
        return self.sets.setdefault(found, f"a_{len(self.sets)}")

    def chain(self, rules: tuple[str, ...]) -> str:
        return self.chains.setdefault(rules, f"p_{len(self.chains)}")


def render(world: World, cluster: str, node: str) -> str:
    """The text that gives ``node`` the rules of its pods' policies, in place of those it had.  One transaction.

    With nothing to enforce it only takes the old table away.
    """
    table = _Table()
    jumps: dict[str, dict[int, list[str]]] = {"egress": {4: [], 6: []}, "ingress": {4: [], 6: []}}
    selves: dict[int, list[str]] = {4: [], 6: []}
    cuts = False
    for pod in world.pods:
        if (pod.cluster, pod.node) != (cluster, node):
            continue
        for direction, found in jumps.items():
            ruling = decide.program(world, pod, direction)
            if ruling is None:
                continue
            cuts = ruling.semantics.cuts_live_flows
            chain = table.chain((*_rules(world, ruling, table), "counter drop"))
            for address in pod.addresses:
                found[address.version].append(f"{address} : jump {chain}")
                selves[address.version].append(f"{address} . {address}")
    if not table.chains:
        return clear()
    return "\n".join((f"table inet {TABLE}", f"delete table inet {TABLE}", *_lines(table, jumps, selves, cuts))) + "\n"


def clear() -> str:
    """The text that takes all of a node's policy rules away."""
    return f"table inet {TABLE}\ndelete table inet {TABLE}\n"


def _lines(table: _Table, jumps: dict[str, dict[int, list[str]]], selves: dict[int, list[str]], cuts: bool) -> Iterator[str]:
    yield f"table inet {TABLE} {{"
    for found, name in table.sets.items():
        kind = "ipv4_addr" if found.version == 4 else "ipv6_addr"
        yield f"\tset {name} {{ type {kind}; flags interval; elements = {{ {found.elements()} }}; }}"
    for rules, name in table.chains.items():
        yield f"\tchain {name} {{ {' '.join(f'{rule};' for rule in rules)} }}"
    live = ("ct state related accept", "ct direction reply accept") if cuts else ("ct state established,related accept",)
    outward: list[str] = []
    inward: list[str] = []
    loops: list[str] = []
    for version, ip in ((4, "ip"), (6, "ip6")):
        kind = f"ipv{version}_addr"
        for direction, side, lookups in (("egress", "saddr", outward), ("ingress", "daddr", inward)):
            if jumps[direction][version]:
                elements = ", ".join(jumps[direction][version])
                yield f"\tmap {direction}{version} {{ type {kind} : verdict; elements = {{ {elements} }}; }}"
                lookups.append(f"{ip} {side} vmap @{direction}{version}")
        if selves[version]:
            elements = ", ".join(dict.fromkeys(selves[version]))
            yield f"\tset selves{version} {{ type {kind} . {kind}; elements = {{ {elements} }}; }}"
            loops.append(f"{ip} saddr . {ip} daddr @selves{version} accept")
    for hook, rules in (("forward", (*live, *loops, *outward, *inward)), ("input", (*live, *outward))):
        body = " ".join(f"{rule};" for rule in rules)
        yield f"\tchain {hook} {{ type filter hook {hook} priority {_PRIORITY}; policy accept; {body} }}"
    yield "}"


# --- one pod's chain -----------------------------------------------------------------------------------------------------


def _rules(world: World, ruling: Program, table: _Table) -> Iterator[str]:
    """The admitting rules: from whom (sets of addresses) to which ports."""
    side = "saddr" if ruling.direction == "ingress" else "daddr"
    for ports, admitted in _grants(world, ruling):
        for version, ip in ((4, "ip"), (6, "ip6")):
            found = admitted[version]
            if not found:
                continue
            if found == ranges.everything(version):
                who = f"meta nfproto ipv{version}"
            else:
                who = f"{ip} {side} @{table.addresses(found)}"
            for what in _matches(ports):
                yield f"{who} {what}return".replace("  ", " ")


def _matches(ports: tuple[_Ports, ...]) -> Iterator[str]:
    """What to add to a rule for these ports, one text a protocol; one empty text where anything is admitted."""
    if None in ports:
        yield ""
        return
    for protocol in ("TCP", "UDP", "SCTP"):
        pairs = [(port[1], port[2]) for port in ports if port is not None and port[0] == protocol]
        merged = ranges.join(4, pairs).pairs
        if merged == ((0, 65535),):
            yield f"meta l4proto {protocol.lower()} "
        elif merged:
            numbers = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in merged)
            yield f"{protocol.lower()} dport {{ {numbers} }} "


def _grants(world: World, ruling: Program) -> Iterator[tuple[tuple[_Ports, ...], dict[int, Ranges]]]:
    """Which addresses may use which ports: everything admitted on the same ports together, ports of the same addresses too."""
    by_ports: dict[_Ports, dict[int, Ranges]] = {}
    for policy, _, rule in ruling.rules():
        for ports, admitted in _granted(world, ruling, policy, rule):
            known = by_ports.setdefault(ports, {4: Ranges(4), 6: Ranges(6)})
            for version in (4, 6):
                known[version] |= admitted[version]
    by_addresses: dict[tuple[Ranges, Ranges], list[_Ports]] = {}
    for ports, admitted in by_ports.items():
        by_addresses.setdefault((admitted[4], admitted[6]), []).append(ports)
    for (four, six), found in by_addresses.items():
        yield tuple(found), {4: four, 6: six}


def _granted(world: World, ruling: Program, policy: NetworkPolicy, rule: Rule) -> Iterator[tuple[_Ports, dict[int, Ranges]]]:
    who = _who(world, ruling, policy, rule.peers)
    if not rule.ports:
        yield None, who
    for port in rule.ports:
        if _by_destination(ruling, port):
            for pod in world.pods:
                if rule.peers and not any(decide.peer_matches(world, ruling, policy, peer, pod) for peer in rule.peers):
                    continue
                for low, high in decide.numbers(world, ruling, port, pod):
                    yield (port.protocol, low, high), _at(pod.addresses)
        else:
            for low, high in decide.numbers(world, ruling, port, ruling.pod):
                yield (port.protocol, low, high), who


def _by_destination(ruling: Program, port: Port) -> bool:
    """Whether the port is a name that each destination pod gives a number of its own."""
    return isinstance(port.port, str) and ruling.direction == "egress" and not ruling.semantics.cluster_wide_names


def _who(world: World, ruling: Program, policy: NetworkPolicy, peers: tuple[Peer, ...]) -> dict[int, Ranges]:
    """The addresses that any of the peers means; no peers mean everyone."""
    if not peers:
        return {version: ranges.everything(version) for version in (4, 6)}
    ends: tuple[End, ...] = (*(pod for pod in world.pods if not pod.host_network), *world.nodes.values())
    found = {4: Ranges(4), 6: Ranges(6)}
    for peer in peers:
        if peer.block is not None:
            block = ranges.of_network(peer.block.network)
            for inner in peer.block.excepted:
                block -= ranges.of_network(inner)
            found[block.version] |= block - _unmatchable(ruling, world, ends)[block.version]
            continue
        matching = [end for end in ends if decide.peer_matches(world, ruling, policy, peer, end)]
        if ruling.semantics.absence_matches_world and decide.selects_absence(peer):
            known = _at(a for end in ends for a in _addresses(end))
            found = {version: found[version] | (ranges.everything(version) - known[version]) for version in (4, 6)}
        addresses = _at(a for end in matching for a in _addresses(end))
        found = {version: found[version] | addresses[version] for version in (4, 6)}
    return found


def _unmatchable(ruling: Program, world: World, ends: Iterable[End]) -> dict[int, Ranges]:
    """The addresses that no ipBlock means under the ruled pod's plugin."""
    hidden: list[ranges.Address] = []
    for end in ends:
        matchable = ruling.semantics.blocks_match_pods if isinstance(end, Pod) else ruling.semantics.blocks_match_nodes
        if not matchable and decide.is_managed(world, ruling, end):
            hidden += _addresses(end)
    return _at(hidden)


def _at(addresses: Iterable[ranges.Address]) -> dict[int, Ranges]:
    found = tuple(addresses)
    return {version: ranges.of_addresses(version, found) for version in (4, 6)}


def _addresses(end: End) -> tuple[ranges.Address, ...]:
    return end.addresses if not isinstance(end, ranges.Address) else (end,)
