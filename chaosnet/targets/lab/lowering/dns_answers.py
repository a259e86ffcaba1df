"""DnsAnswer: questions to a DNS pod are redirected, in its own namespace, to an interposer that spoils some answers.

The redirect is a rule with the kernel fuse in front, so without the keeper's attention the pod answers by itself again.
Questions of one client port go where its first went, as connection tracking has it; resolvers take a new port each time.
What the interposer answers is in :mod:`chaosnet.targets.lab.interposer`.
"""

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import dns.exception
import dns.name

from chaosnet.errors import InputError, Refused, TargetError, Unsupported
from chaosnet.model.change import DnsAnswer
from chaosnet.model.fault import Reading
from chaosnet.model.ticket import Undo
from chaosnet.targets.lab import conntrack
from chaosnet.targets.lab.interposer import MODES, Interposer
from chaosnet.targets.lab.lowering import Deed, tables
from chaosnet.targets.lab.namespaces import site_namespace

if TYPE_CHECKING:
    from chaosnet.targets.lab.lab import Lab

OPS = ("dns",)
_BEFORE_DSTNAT = -105
# Sockets have to be kept somewhere: here, by ticket and place in it, from do to take_back.
_running: dict[tuple[str, int], Interposer] = {}


def prepare(lab: "Lab", deed: Deed, change: DnsAnswer) -> Undo:
    """Refused where the site is no pod, or the mode lacks what it needs."""
    if change.site.kind != "pod" or not change.site.addresses:
        raise Unsupported(f"{change.site} is no pod, and DNS servers run in pods; name the DNS server's pod")
    if change.mode not in MODES:
        raise InputError("", f"{change.mode!r} is not a way to spoil an answer", f"use {', '.join(MODES)}")
    if change.mode == "slow" and not 0 < change.delay <= 3600:
        raise InputError("", f"a delay of {change.delay!r} s is not slow", "give a delay above zero")
    try:
        if change.mode == "wrong":
            IPv4Address(change.answer)
    except ValueError:
        raise InputError("", f"{change.answer!r} is not an IPv4 address", "a wrong answer is one") from None
    try:
        dns.name.from_text(change.suffix or ".")
    except (dns.exception.DNSException, UnicodeError):
        raise InputError("", f"{change.suffix!r} is not the end of a DNS name", "write one like clusterset.local") from None
    namespace = site_namespace(change.site)
    if namespace not in lab.namespaces:
        raise Refused(f"{change.site} has no network now")
    tables.refuse_if_taken(lab, deed.ticket, namespace)
    return Undo(
        "dns",
        {
            "namespace": namespace,
            "ticket": deed.ticket,
            "index": deed.index,
            "knobs": [f"the answers of the DNS server at {namespace}"],
        },
        f"delete table inet {tables.table(deed.ticket)} at {namespace}, so that its DNS server answers by itself again",
    )


def do(lab: "Lab", deed: Deed, change: DnsAnswer, undo: Undo) -> None:
    """Listen, then redirect."""
    namespace = undo.arguments["namespace"]
    try:
        interposer = Interposer(lab.namespaces, namespace, change.site.addresses[0], change)
    except OSError as error:
        raise TargetError(f"nothing can listen at {namespace}: {error.strerror or error}") from error
    _running[(deed.ticket, deed.index)] = interposer
    lab.namespaces.nft(namespace).run(render(deed, interposer.port))


def render(deed: Deed, port: int) -> str:
    """The nftables text of the redirect; pure.

    What the interposer asks of the real server leaves and arrives in one namespace, where connection tracking has
    settled its translation (none) before this hook.
    """
    rules = [
        f"meta l4proto {protocol} th dport 53 counter redirect to :{port:d}"
        for protocol in ("udp", "tcp")
    ]
    return tables.fused(deed.ticket, deed.seconds) + tables.chain(
        deed.ticket, deed.index, "prerouting", "nat", "prerouting", _BEFORE_DSTNAT, rules
    )


def take_back(lab: "Lab", undo: Undo) -> None:
    """Delete the table, close the interposer, and end what connection tracking still redirects."""
    namespace = undo.arguments["namespace"]
    tables.remove(lab, undo.arguments["ticket"], namespace, "inet")
    interposer = _running.pop((undo.arguments["ticket"], undo.arguments["index"]), None)
    if interposer is None:
        return
    interposer.close()
    if namespace in lab.namespaces:
        asked = [entry for entry in conntrack.entries(lab, namespace) if entry.destination_port == 53]
        conntrack.delete(lab, namespace, asked)


def read_back(lab: "Lab", deed: Deed, change: DnsAnswer, undo: Undo) -> Reading:
    """Whether the redirect is there and somebody listens behind it."""
    namespace = undo.arguments["namespace"]
    rules, packets, octets = tables.counts(lab, deed.ticket, namespace).get(deed.index, (0, 0, 0))
    interposer = _running.get((deed.ticket, deed.index))
    if not rules or interposer is None:
        return Reading(False, f"questions to the DNS server at {namespace} are not redirected")
    figures = {"packets": packets, "bytes": octets, "spoiled": interposer.spoiled}
    return Reading(True, f"{interposer.spoiled} of {packets} questions to {namespace} were answered wrongly", figures)
