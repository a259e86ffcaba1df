"""``tamper_snat``: a node rewrites the source address of its pods' packets, where it should leave it.

What it does to packets: what matches and leaves the node gets another source address, and answers are translated back as
long as they come back to this node.  With ``source: node`` (masquerade) they do: traffic goes on, but the far side sees the
node, so policies, logs and allow lists that go by pod addresses judge the wrong one.  With an address that is not routed
here, answers never return.

What it does not do: touch live flows (address translation is decided by a connection's first packet: nft(8)), or IPv6 where
``source`` is IPv4; a place that has both is refused unless ``source`` says ``node`` for each.

How it is proven: the rules rewrote packets, and connections through the node went on (``node``) or timed out (an address).

Undo removes the fault's own tables by name; connections made meanwhile keep their translation until they end.  Source:
a Java application's SNAT rules that had been tampered with, found from inside its namespace.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Dict

from chaosnet.engine.session import current
from chaosnet.errors import InputError, Refused
from chaosnet.model import units
from chaosnet.model.change import Match, Rewrite
from chaosnet.model.effect import SILENT, cut, holds, rules_matched
from chaosnet.model.fault import Capabilities, Effect, Plan
from chaosnet.model.flow import carriers, edge_between, family, inside, outside, peer_addresses, refuse_half
from chaosnet.model.inventory import Node, Pod, Site, Sites
from chaosnet.model.place import Place, endpoint_place, parse_place
from chaosnet.model.question import Reach

__all__ = ["tamper_snat"]

_MOST_EDGES = 16


@dataclass(frozen=True, slots=True)
class TamperSnat:
    """The settings.  ``source`` is an address, or ``node`` for each node's own; ``peer`` None is every destination."""

    kind: ClassVar[str] = "tamper_snat"
    at: Place
    source: str = "node"
    peer: Place | None = None
    duration: float = 60.0

    def places(self) -> Mapping[str, Place]:
        """The nodes and, if named, the destinations."""
        return {"at": self.at} if self.peer is None else {"at": self.at, "peer": self.peer}

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """Source translation at each node and family; seen by counters and by connections through the node."""
        inventory = sites.inventory
        refuse_half(sites["peer"], inventory, "tamper_snat.peer")
        changes, effects = [], []
        for site in carriers(sites["at"], inventory, "tamper_snat.at"):
            if site.kind != "node":
                raise InputError(
                    "tamper_snat.at", f"{site} is not a node", "name a node, or a hop's node: pods translate nothing"
                )
            pods = tuple(address for pod in inside(site, inventory) if pod.kind == "pod" for address in pod.addresses)
            if not pods:
                raise InputError("tamper_snat.at", f"no pod runs on {site}", "name a node whose packets could be rewritten")
            there = peer_addresses(sites["peer"], inventory) or site.toward
            families = {family(address) for address in pods}
            for version in sorted(families):
                source = self._source(site, version, families)
                match = Match(
                    sources=tuple(a for a in (site.across or pods) if family(a) == version),
                    destinations=tuple(a for a in there if family(a) == version),
                )
                changes.append(Rewrite(site, match, source))
            effects.append(self._effect(site, sites))
        return Plan(
            capabilities.require(self.kind, tuple(changes)),
            (*effects, rules_matched()),
            established="live flows keep their address: translation is decided by the first packet",
            fresh="new flows go on under the node's name"
            if self.source == "node"
            else "new flows get no answers: these go to another address",
        )

    def _source(self, site: Site, version: str, families: set[str]) -> str:
        if self.source == "node":
            own = next((address for address in site.addresses if family(address) == version), "")
            if not own:
                raise Refused(f"tamper_snat.source: {site} has no {version} address of its own to put in; give one")
            return own
        if len(families) > 1:
            raise Refused(f"tamper_snat.source: pods on {site} have both address families and {self.source} is of one; use node")
        if version != family(self.source):
            raise InputError(
                "tamper_snat.source", f"{self.source} is not {version}, as the pods on {site} are", "give one that is"
            )
        return self.source

    def _effect(self, site: Site, sites: Sites) -> Effect:
        inventory = sites.inventory
        owners: tuple[Pod | Node, ...] = (*inventory.pods, *inventory.nodes)
        if self.source != "node" and any(self.source in owner.addresses for owner in owners):
            raise Refused(
                f"tamper_snat.source: {self.source} is in use here, and its owner would get the answers; give a free address"
            )
        far = sites["peer"] or outside(site, inventory, elsewhere=False)
        edges = (
            edge_between(near, there, inventory)
            for near in inside(site, inventory)
            for there in far
            if there.node != site.name and not set(there.addresses) & set(near.addresses)
        )
        chosen = tuple(dict.fromkeys(edge for edge in edges if edge is not None))[:_MOST_EDGES]
        if not chosen:
            raise Refused(f"tamper_snat.at: nothing beyond {site} is known to answer its pods, so nothing could show it")
        if self.source == "node":
            return Effect(f"connections through {site} go on", Reach(chosen), holds)
        return Effect(f"connections through {site} get no answer", Reach(chosen), cut(SILENT), within=6.0)


def tamper_snat(at: str, source: str = "node", peer: str = "", duration: str = "60s") -> Dict[str, Any]:
    """Rewrite the source address of what the pods of a node send.

    at: nodes, or a hop's node; source: node (each node's own address), or an address that is not in use (answers never come
    back); peer: only towards this endpoint.

    Example:
        module: chaosnet.faults.snat
        func: tamper_snat
        arguments: {at: "hop:upload/source-node", source: "192.0.2.1", duration: "60s"}
    """
    if source != "node":
        try:
            source = str(ipaddress.ip_address(source))
        except ValueError:
            raise InputError("tamper_snat.source", f"{source!r} is not an address", "write node, or one IP address") from None
    return current().inject(
        TamperSnat(
            at=parse_place(at, "tamper_snat.at"),
            source=source,
            peer=endpoint_place(peer, "tamper_snat.peer") if peer != "" else None,
            duration=units.duration(duration, "tamper_snat.duration"),
        )
    )
