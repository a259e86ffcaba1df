"""``shrink_mtu``: a spot on the way carries smaller packets than before, and says so or keeps silent.

What it does to packets: at the place, IP packets above ``mtu`` bytes no longer fit.  With ``icmp: pass`` the place answers
"fragmentation needed" (RFC 1191) or "packet too big" (RFC 8201), and senders adapt within a round trip.  With
``icmp: drop`` it answers nothing: small requests pass and large ones hang, the classic outage (RFC 2923 section 2.1).

Scope ``route`` changes only routes towards the edge's destination (or the other clusters' pods and Services); scope ``link``
the whole interface, kubelet and BGP included.  By default a hop, a node and a router take ``route``, a pod and a link ``link``.

What it does not do: shrink a pod's own interface into an outage (its TCP announces a smaller MSS and goes on: RFC 9293
section 3.7.1; only datagrams and pings suffer), touch loopback, or break live flows that never send a full segment.

Undo puts back the MTU that was read before.  Path MTUs that senders learned meanwhile live 10 minutes (``ip-sysctl``,
mtu_expires): the target flushes them where the endpoint is ours, and otherwise they are reported as learned.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Dict

from chaosnet.engine.session import current
from chaosnet.errors import InputError, Refused
from chaosnet.model import units
from chaosnet.model.change import Change, Filter, LinkMtu, Match, RouteMtu
from chaosnet.model.effect import Judge, first_ready, of
from chaosnet.model.fault import Capabilities, Effect, Plan, Reading
from chaosnet.model.flow import carriers, family, inside, listening, outside
from chaosnet.model.inventory import Inventory, Site, Sites
from chaosnet.model.place import Place, parse_place
from chaosnet.model.question import Answer, PathMtu, PathMtuFound

__all__ = ["shrink_mtu"]

# Pairs of pods that are tried before the fault until pings pass between them.
_CANDIDATES = 4


@dataclass(frozen=True, slots=True)
class ShrinkMtu:
    """The settings.  ``mtu`` is bytes of IP packet; ``scope`` empty is by place."""

    kind: ClassVar[str] = "shrink_mtu"
    at: Place
    mtu: int
    icmp: str = "pass"
    scope: str = ""
    duration: float = 60.0

    def places(self) -> Mapping[str, Place]:
        """Where the MTU shrinks."""
        return {"at": self.at}

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """Silence first where it is asked for, then the MTU: no hint may slip out in between."""
        changes: list[Change] = []
        effects, warnings = [], []
        for site in carriers(sites["at"], sites.inventory, "shrink_mtu.at"):
            scope = self._scope(site)
            own = site.kind == "pod" and scope == "link"
            towards = () if scope == "link" else site.toward or _other_clusters(site, sites.inventory)
            self._refuse_ipv6(site, towards)
            if self.icmp == "drop" and own:
                warnings.append(f"{site} is told of its own interface's MTU by its own kernel: icmp: drop changes nothing there")
            elif self.icmp == "drop":
                changes.append(Filter(site, "egress", Match(destinations=site.across, icmp="fragmentation-needed")))
            if scope == "link":
                changes.append(LinkMtu(site, self.mtu))
                if site.kind == "node" and not site.interface:
                    warnings.append(
                        f"all that {site} sends or receives shrinks with its interface, its way to the API server too"
                    )
            else:
                changes.append(RouteMtu(site, towards, self.mtu))
            effects.append(self._effect(site, sites.inventory, own))
        return Plan(
            capabilities.require(self.kind, tuple(changes)),
            tuple(effects),
            established="live flows hang at their next packet above the MTU"
            if self.icmp == "drop"
            else "live flows shrink their segments after one ICMP message",
            fresh="small requests pass; larger ones hang" if self.icmp == "drop" else "new flows learn the size and go on",
            warnings=tuple(warnings),
        )

    def _scope(self, site: Site) -> str:
        if self.scope == "route" and site.interface:
            raise InputError("shrink_mtu.scope", f"{self.at} is a link and has no routes", "use scope link, or a hop")
        if self.scope:
            return self.scope
        return "route" if self.at.kind == "hop" or (site.kind in ("node", "router") and not site.interface) else "link"

    def _refuse_ipv6(self, site: Site, towards: tuple[str, ...]) -> None:
        six = next((address for address in (*site.addresses, *towards) if family(address) == "ipv6"), "")
        if self.mtu < 1280 and six:
            raise Refused(
                f"shrink_mtu.mtu: IPv6 ({six}) cannot live on {self.mtu} bytes, and the kernel would switch it off at {site}; "
                "give 1280 or more (RFC 8200 section 5)"
            )

    def _effect(self, site: Site, inventory: Inventory, own: bool) -> Effect:
        far = outside(site, inventory, elsewhere=not own)
        near = inside(site, inventory)
        # Each candidate with another far end: one that a policy shuts off is shut to all.
        turned = [(near[index % len(near)], there) for index, there in enumerate(far)] if near else []
        pairs = [(here, there) for here, there in turned if not set(here.addresses) & set(there.addresses)]
        if not pairs:
            raise Refused(f"shrink_mtu.at: no pods send through {site}, so nothing could show its MTU; choose another place")
        # Pods of larger frames exist; the sweep must begin above the MTU that is asked for.
        ceiling = 1500 if self.mtu < 1500 else 9000
        judge = fits(self.mtu, "" if own else self.icmp)
        return first_ready(
            [
                Effect(
                    f"path MTU from {source} to {destination}",
                    PathMtu(source, destination, _tcp_port(destination, inventory), ceiling),
                    judge,
                    20.0,
                    lambda before: of(PathMtuFound, before).icmp > self.mtu,
                )
                for source, destination in pairs[:_CANDIDATES]
            ]
        )


def _tcp_port(site: Site, inventory: Inventory) -> int:
    return next((n for a in site.addresses for kind, n in listening(inventory, a) if kind == "tcp"), 0)


def fits(mtu: int, icmp: str) -> Judge:
    """PathMtu: packets above ``mtu`` passed before and do not now; told of it (``pass``), silent (``drop``), either (empty)."""

    def judge(before: Answer, now: Answer) -> Reading:
        was, seen = of(PathMtuFound, before), of(PathMtuFound, now)
        figures = {
            "icmp_before": was.icmp, "icmp": seen.icmp, "told": seen.told,
            "tcp_there": seen.tcp_there, "tcp_there_before": was.tcp_there, "tcp_back": seen.tcp_back,
        }  # fmt: skip
        told = f"told {seen.told}" if seen.told else "in silence"
        sentence = f"the largest packet was {was.icmp} bytes before and is {seen.icmp} now, {told}"
        if was.icmp <= mtu:
            return Reading(False, f"the largest packet was {was.icmp} bytes before, so {mtu} shrinks nothing", figures)
        if not 0 < seen.icmp <= mtu:
            why = "no packet passes at all" if seen.icmp == 0 else f"it must be at most {mtu}"
            return Reading(False, f"{sentence}; {why}", figures)
        if icmp == "pass" and not 0 < seen.told <= mtu:
            return Reading(False, f"{sentence}; an ICMP message should have named at most {mtu}", figures)
        if icmp == "drop" and seen.told:
            return Reading(False, f"{sentence}; no ICMP message should have come through", figures)
        return Reading(True, sentence, figures)

    return judge


def _other_clusters(site: Site, inventory: Inventory) -> tuple[str, ...]:
    ranges = (r for node in inventory.nodes if node.cluster != site.cluster for r in node.pod_ranges)
    services = (a for service in inventory.services if service.cluster != site.cluster for a in service.addresses)
    found = tuple(dict.fromkeys((*ranges, *services)))
    if not found:
        raise InputError(
            "shrink_mtu.at",
            f"there is no other cluster that routes at {site} could go to",
            "use hop:EDGE/source-node, or scope link",
        )
    return found


def shrink_mtu(at: str, mtu: str, icmp: str = "pass", scope: str = "", duration: str = "60s") -> Dict[str, Any]:
    """Let a hop, node, pod or link carry at most so many bytes a packet, and say so or keep silent about it.

    at: a hop, a node, a pod or (lab) a link; mtu: bytes of IP packet, "1450"; icmp: pass (senders are told, and adapt) or
    drop (the black hole: large packets vanish); scope: route or link, by default route for hops and nodes.

    Example:
        module: chaosnet.faults.mtu
        func: shrink_mtu
        arguments: {at: "hop:upload/source-node", mtu: "1450", icmp: drop, duration: "60s"}
    """
    return current().inject(
        ShrinkMtu(
            at=parse_place(at, "shrink_mtu.at"),
            mtu=units.mtu(mtu, "shrink_mtu.mtu"),
            icmp=units.choice(icmp, "shrink_mtu.icmp", ("pass", "drop")),
            scope=units.choice(scope, "shrink_mtu.scope", ("route", "link")) if scope != "" else "",
            duration=units.duration(duration, "shrink_mtu.duration"),
        )
    )
