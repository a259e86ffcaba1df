"""``break_dns``: a cluster's DNS server is down, slow, silent, or answers wrongly, for all names or some.

Modes: ``down`` (the server stops: its port is closed), ``drop`` (it answers nothing), ``slow`` (after ``delay``), ``wrong`` (with
the address ``answer``), ``nxdomain`` (no such name), ``servfail``.  ``names`` limits all but ``down`` to names under a suffix;
``cross-cluster`` means those of other clusters (clusterset.local: KEP-1645), so that a cluster's own names go on.

What it does not do: touch live connections, or clients that remember an answer until its time to live ends.  Where several
servers stand behind the Service, name the Service to hit them all: resolvers that are lucky ask another one.

How it is proven: a pod asks its own resolver for a Service's name and gets, instead of the right answer, what the mode says;
with ``names`` another name is still answered as before.

Undo starts the server, or takes the rule away.  Sources: RFC 1035 section 4.1.1 (SERVFAIL, NXDOMAIN).
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Dict

from chaosnet.engine.session import current
from chaosnet.errors import InputError, Refused
from chaosnet.model import units
from chaosnet.model.change import Change, DaemonState, DnsAnswer
from chaosnet.model.effect import Judge, daemon_stops, first_ready, of, some
from chaosnet.model.fault import Capabilities, Effect, Plan, Reading
from chaosnet.model.flow import carriers, pod_site
from chaosnet.model.inventory import Inventory, Site, Sites
from chaosnet.model.place import Place, endpoint_place
from chaosnet.model.question import Answer, Dns, DnsReply
from chaosnet.model.units import say_seconds

__all__ = ["break_dns"]

_MODES = ("down", "drop", "slow", "wrong", "nxdomain", "servfail")
# Pods that are tried before the fault until one gets an answer.
_CANDIDATES = 4
_CROSS_CLUSTER, _CLUSTERSET = "cross-cluster", "clusterset.local"
_SUFFIX = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class BreakDns:
    """The settings.  ``suffix`` empty is every name; ``delay`` seconds is for slow, ``answer`` an address for wrong."""

    kind: ClassVar[str] = "break_dns"
    at: Place
    mode: str
    suffix: str = ""
    delay: float = 3.0
    answer: str = "192.0.2.1"
    duration: float = 60.0

    def places(self) -> Mapping[str, Place]:
        """The DNS server: its Service, or its pods."""
        return {"at": self.at}

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """A stopped server or other answers; seen by a pod that asks."""
        servers = carriers(sites["at"], sites.inventory, "break_dns.at")
        for site in servers:
            if site.kind != "pod":
                raise InputError("break_dns.at", f"{site} is no DNS server", "name the DNS Service or its pods")
        changes: tuple[Change, ...]
        if self.mode == "down":
            changes = tuple(DaemonState(site, "dns") for site in servers)
        else:
            delay = self.delay if self.mode == "slow" else 0.0
            answer = self.answer if self.mode == "wrong" else ""
            changes = tuple(DnsAnswer(site, self.mode, self.suffix, delay, answer) for site in servers)
        clients, hit, spared = self._names(servers, sites.inventory)
        patience = max(2.0, self.delay + 1 if self.mode == "slow" else 0.0)
        judge = answers(self.mode, self.delay, self.answer)
        effects = [
            first_ready(
                [Effect(f"{c} asks for {hit}", Dns(c, hit, patience), judge, 12.0, _resolves) for c in clients[:_CANDIDATES]]
            )
        ]
        if spared:
            effects.append(
                first_ready(
                    [Effect(f"{c} asks for {spared}", Dns(c, spared), as_before, 6.0, _resolves) for c in clients[:_CANDIDATES]]
                )
            )
        if self.mode == "down":
            effects += [daemon_stops(site, "dns", within=5.0) for site in servers]
        return Plan(
            capabilities.require(self.kind, changes),
            tuple(effects),
            established="live connections go on: they need no name any more",
            fresh="new connections by name wait or fail; those by address go on",
        )

    def _names(self, servers: tuple[Site, ...], inventory: Inventory) -> tuple[tuple[Site, ...], str, str]:
        """Pods that may ask, a name that is hit, and one (or empty) that must be spared."""
        cluster = servers[0].cluster
        served = {str(site) for site in servers}
        pods = [
            p
            for p in inventory.pods
            if p.cluster == cluster and p.ready and not p.host_network and str(pod_site(p)) not in served
        ]
        if not pods:
            raise Refused(
                f"break_dns.at: no other pod of {cluster} could ask {self.at}, so nothing would show; choose another server"
            )
        # Other clusters' names first: they show a cross-cluster fault best.
        names = [
            f"{s.name}.{s.namespace}.svc.{domain}"
            for s in sorted(inventory.services, key=lambda s: s.cluster == cluster)
            if s.addresses
            for domain in ("cluster.local", f"{s.cluster}.{_CLUSTERSET}")
            if s.cluster == cluster or domain != "cluster.local"
        ]
        names.sort(key=lambda name: (not self.suffix) != name.endswith(".cluster.local"))
        hit = next((name for name in names if _under(name, self.suffix)), self.suffix)
        if not hit:
            raise Refused(
                f"break_dns.at: {cluster} has no Service whose name a pod could ask for, so nothing would show; choose another"
            )
        return (
            tuple(map(pod_site, pods)),
            hit,
            next((name for name in names if self.suffix and not _under(name, self.suffix)), ""),
        )


def _resolves(before: Answer) -> bool:
    reply = of(DnsReply, before)
    return reply.rcode == "NOERROR" and bool(reply.addresses)


def _under(name: str, suffix: str) -> bool:
    return not suffix or name == suffix or name.endswith(f".{suffix}")


def _said(reply: DnsReply) -> str:
    return f"{reply.rcode}{f' {some(reply.addresses)}' if reply.addresses else ''} after {say_seconds(reply.seconds)}"


def answers(mode: str, delay: float, answer: str) -> Judge:
    """Dns: a right answer before, and now what the mode says."""

    def judge(before: Answer, now: Answer) -> Reading:
        was, seen = of(DnsReply, before), of(DnsReply, now)
        figures = {"rcode": seen.rcode, "addresses": list(seen.addresses), "seconds": seen.seconds, "seconds_before": was.seconds}
        sentence = f"{_said(was)} before, {_said(seen)} now"
        if was.rcode != "NOERROR" or not was.addresses:
            return Reading(False, f"{sentence}: it was not answered before, so nothing could be seen to break", figures)
        ok = {
            "down": seen.rcode in ("TIMEOUT", "REFUSED"),
            "drop": seen.rcode == "TIMEOUT",
            "slow": seen.addresses == was.addresses and seen.seconds >= 0.9 * delay > was.seconds,
            "wrong": seen.addresses == (answer,) != was.addresses,
            "nxdomain": seen.rcode == "NXDOMAIN",
            "servfail": seen.rcode == "SERVFAIL",
        }[mode]
        return Reading(ok, sentence, figures)

    return judge


def as_before(before: Answer, now: Answer) -> Reading:
    """Dns: the same answer as before, for a name that the fault must spare."""
    was, seen = of(DnsReply, before), of(DnsReply, now)
    same = (was.rcode, set(was.addresses)) == (seen.rcode, set(seen.addresses)) and was.rcode == "NOERROR"
    return Reading(
        same, f"{_said(was)} before, {_said(seen)} now, and must not change", {"rcode": seen.rcode, "seconds": seen.seconds}
    )


def break_dns(
    at: str, mode: str, names: str = "", delay: str = "3s", answer: str = "192.0.2.1", duration: str = "60s"
) -> Dict[str, Any]:
    """Break a cluster's DNS, for all names or some.

    at: the DNS Service (or its pods); mode: down, drop, slow, wrong, nxdomain or servfail; names: only names under this
    suffix, or cross-cluster; delay: for slow; answer: the address for wrong.

    Example:
        module: chaosnet.faults.dns
        func: break_dns
        arguments: {at: "svc:test/kube-system/kube-dns", mode: nxdomain, names: cross-cluster, duration: "60s"}
    """
    mode = units.choice(mode, "break_dns.mode", _MODES)
    if not isinstance(names, str):
        raise InputError("break_dns.names", f"{names!r} is not text", "quote it, or leave it out for all names")
    suffix = _CLUSTERSET if names == _CROSS_CLUSTER else names.strip(".").lower()
    if suffix and not _SUFFIX.fullmatch(suffix):
        raise InputError(
            "break_dns.names", f"{names!r} is not the end of a DNS name", 'write it like "example.org", or cross-cluster'
        )
    if suffix and mode == "down":
        raise InputError("break_dns.names", "a server that is down answers no name", "choose another mode, or leave names out")
    try:
        wrong = str(ipaddress.IPv4Address(answer))
    except ValueError:
        raise InputError("break_dns.answer", f"{answer!r} is not an IPv4 address", 'write it like "192.0.2.1"') from None
    return current().inject(
        BreakDns(
            at=endpoint_place(at, "break_dns.at"),
            mode=mode,
            suffix=suffix,
            delay=units.duration(delay, "break_dns.delay"),
            answer=wrong,
            duration=units.duration(duration, "break_dns.duration"),
        )
    )
