"""kube-proxy of one node as nftables text (table ``inet lab_services``), and what a node's rules say when read back.

Every ClusterIP and port is translated to a ready backend, at random (by client with sessionAffinity ClientIP), without
touching the source address.  Traffic of this node and its pods may go to any backend.  What comes from elsewhere, along the
route by which a ClusterIP is announced, goes to backends on this node only: without source translation an answer from
another node would not pass here again (Kubernetes, externalTrafficPolicy: Local).  A Service without backends is
refused, as kube-proxy does.  Only a pod that reaches itself through a Service gets its node's address as source.

Only IPv4, TCP and UDP (SCTP too); no node ports, load balancers or external addresses; stale conntrack entries of UDP
backends are not removed.  The text is made of addresses, numbers and names generated here, never of an object's text.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from chaosnet.lab import census, placement
from chaosnet.lab.census import Backend
from chaosnet.lab.objects import Store

TABLE = "lab_services"
_KEY = "ip daddr . meta l4proto . th dport"
#: Address, protocol and port of a Service, as a node's rules know it.
Front = tuple[str, str, int]


def render(store: Store, cluster: str, node: str) -> str:
    """The text that gives ``node`` the rules of its cluster's Services, in place of those it had.  One transaction."""
    nodes = placement.rooms(store, cluster)
    lines = [f"table inet {TABLE}", f"delete table inet {TABLE}", f"table inet {TABLE} {{"]
    everywhere: dict[Front, str] = {}
    here: dict[Front, str] = {}
    refused: list[Front] = []
    elsewhere: list[Front] = []
    chains: dict[str, str] = {}
    for front, sticky, backends in fronts(store, cluster):
        if not backends:
            refused.append(front)
            continue
        everywhere[front] = _chain(chains, front, sticky, backends)
        local = tuple(backend for backend in backends if backend.node == node)
        if local:
            here[front] = _chain(chains, front, sticky, local)
        else:
            elsewhere.append(front)
    room = nodes.get(node)
    own = [str(room.pods), str(ipaddress.IPv4Address(room.address))] if room else []
    selves = sorted(_local_pods(store, cluster, node))
    lines += [
        *_elements("set own", "typeof ip saddr; flags interval", own),
        *_elements("set selves", "typeof ip saddr . ip daddr", (f"{address} . {address}" for address in selves)),
        *_elements("map everywhere", f"typeof {_KEY} : verdict", _verdicts(everywhere)),
        *_elements("map here", f"typeof {_KEY} : verdict", _verdicts(here)),
        *_elements("map refused", f"typeof {_KEY} : verdict", (f"{_text(front)} : goto refuse" for front in refused)),
        *_elements("map elsewhere", f"typeof {_KEY} : verdict", (f"{_text(front)} : goto silence" for front in elsewhere)),
        # Only new connections: a live one keeps the backend that conntrack remembers.
        *_block("refuse", "ct state new counter reject"),
        *_block("silence", "ct state new counter drop"),
    ]
    for rule, name in chains.items():
        lines += _block(name, rule)
    hairpin = [f"ip saddr . ip daddr @selves snat ip to {ipaddress.IPv4Address(room.address)}"] if room else []
    lines += [
        *_block("check_in", "type filter hook prerouting priority -110; policy accept",
                f"{_KEY} vmap @refused", f"ip saddr != @own {_KEY} vmap @elsewhere"),
        *_block("check_out", "type filter hook output priority -110; policy accept", f"{_KEY} vmap @refused"),
        *_block("nat_in", "type nat hook prerouting priority -100; policy accept",
                f"ip saddr @own {_KEY} vmap @everywhere", f"ip saddr != @own {_KEY} vmap @here"),
        *_block("nat_out", "type nat hook output priority -100; policy accept", f"{_KEY} vmap @everywhere"),
        *_block("nat_post", "type nat hook postrouting priority 100; policy accept", *hairpin),
        "}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def clear() -> str:
    """The text that takes all of a node's Service rules away."""
    return f"table inet {TABLE}\ndelete table inet {TABLE}\n"


def fronts(store: Store, cluster: str) -> Iterator[tuple[Front, bool, tuple[Backend, ...]]]:
    """Every ClusterIP, protocol and port with its ready backends, and whether a client keeps its backend."""
    for service in store.list(cluster, "Service"):
        spec = service["spec"]
        if spec.get("type") == "ExternalName" or spec.get("clusterIP") in (None, "", "None"):
            continue
        behind = census.backends(store, cluster, service)
        address = str(ipaddress.IPv4Address(spec["clusterIP"]))
        for port in spec.get("ports") or ():
            ready = tuple(backend for backend in behind.get(port.get("name") or "", ()) if backend.ready)
            front = (address, (port.get("protocol") or "TCP").lower(), int(port["port"]))
            yield front, spec.get("sessionAffinity") == "ClientIP", ready


def announced(store: Store, cluster: str, node: str) -> tuple[str, ...]:
    """The ClusterIPs that ``node`` announces to other clusters: those with a ready backend on it."""
    return tuple(sorted({front[0] for front, _, backends in fronts(store, cluster) if any(b.node == node for b in backends)}))


def _local_pods(store: Store, cluster: str, node: str) -> Iterator[str]:
    for pod in store.list(cluster, "Pod"):
        address = (pod.get("status") or {}).get("podIP")
        if address and pod["spec"].get("nodeName") == node and not pod["spec"].get("hostNetwork"):
            yield str(ipaddress.IPv4Address(address))


def _chain(chains: dict[str, str], front: Front, sticky: bool, backends: tuple[Backend, ...]) -> str:
    """The name of the chain that sends to one of ``backends``; Services with the same ones share it."""
    targets = [_target(backend.address, backend.port) for backend in backends]
    choose = "jhash ip saddr" if sticky else "numgen random"
    if len(targets) == 1:
        how = f"ip to {targets[0].replace(' . ', ':')}"
    else:
        numbered = ", ".join(f"{number} : {target}" for number, target in enumerate(targets))
        how = f"ip addr . port to {choose} mod {len(targets)} map {{ {numbered} }}"
    return chains.setdefault(f"meta l4proto {_protocol(front)} dnat {how}", f"to_{len(chains)}")


@lru_cache(maxsize=4096)
def _target(address: str, port: int) -> str:
    return f"{ipaddress.IPv4Address(address)} . {int(port)}"


def _protocol(front: Front) -> str:
    return {"tcp": "tcp", "udp": "udp", "sctp": "sctp"}[front[1]]


def _text(front: Front) -> str:
    return f"{ipaddress.IPv4Address(front[0])} . {_protocol(front)} . {int(front[2])}"


def _verdicts(chains: Mapping[Front, str]) -> Iterator[str]:
    return (f"{_text(front)} : goto {chain}" for front, chain in chains.items())


def _elements(head: str, kind: str, elements: Iterable[str]) -> list[str]:
    listed = ", ".join(elements)
    return [f"\t{head} {{ {kind}; {f'elements = {{ {listed} }}; ' if listed else ''}}}"]


def _block(name: str, *rules: str) -> list[str]:
    return [f"\tchain {name} {{ {' '.join(f'{rule};' for rule in rules)} }}"]


def programmed(listing: Mapping[str, Any]) -> dict[Front, tuple[str, ...]]:
    """What a node's rules really do: Service address, protocol and port → the backends' addresses.

    ``listing`` is ``nft -j list table inet lab_services``.  A Service that is refused has no backends; one that is missing
    from the answer has no rules at all.
    """
    targets: dict[str, tuple[str, ...]] = {}
    maps: dict[str, list[Any]] = {}
    for entry in listing.get("nftables", ()):
        if "rule" in entry:
            for expression in entry["rule"]["expr"]:
                if "dnat" in expression:
                    targets[entry["rule"]["chain"]] = _addresses(expression["dnat"]["addr"])
        elif "map" in entry:
            maps[entry["map"]["name"]] = entry["map"].get("elem", [])
    found: dict[Front, tuple[str, ...]] = {}
    for name in ("refused", "everywhere"):
        for key, verdict in maps.get(name, ()):
            address, protocol, port = key["concat"]
            chain = next(iter(verdict.values()))["target"]
            found[(str(address), str(protocol), int(port))] = targets.get(chain, ())
    return found


def _addresses(value: Any) -> tuple[str, ...]:
    """The addresses of a dnat statement: one, or the right sides of its map."""
    if isinstance(value, str):
        return (value,)
    pairs = value["map"]["data"]["set"]
    return tuple(dict.fromkeys(str(right["concat"][0]) for _, right in pairs))
