"""Shape: a queueing discipline of ours at the device where the packets leave, and a rule that says which packets.

Only what leaves a device can be shaped, so what reaches a site is shaped at the other end of its cable.  The rule is in
the ticket's netdev table and begins with the kernel fuse like every other: burnt down, packets pass by our discipline
unhindered.  A device whose root discipline somebody else has set is refused, never replaced.  What the disciplines are
made of is in :mod:`chaosnet.targets.lab.qdiscs`.
"""

import errno
from typing import TYPE_CHECKING

from chaosnet.errors import InputError, Refused, TargetError, Unsupported
from chaosnet.model.change import Shape
from chaosnet.model.fault import Reading
from chaosnet.model.inventory import Site
from chaosnet.model.ticket import Undo
from chaosnet.targets.lab import qdiscs
from chaosnet.targets.lab.lowering import Deed, devices, match, tables
from chaosnet.targets.lab.namespaces import Namespaces, site_namespace

if TYPE_CHECKING:
    from chaosnet.targets.lab.lab import Lab

OPS = ("qdisc",)
NO_NETEM = "this kernel has no sch_netem; run it in the virtual machine: make test-vm"


def netem_missing(namespaces: Namespaces) -> str:
    """Why this kernel has no netem, or empty: tried once, on the loopback of a namespace made for it."""
    scratch = "netem?"
    namespaces.create(scratch)
    try:
        netlink = namespaces.netlink(scratch)
        netlink.send(qdiscs.spoiler(netlink.link("lo").index, qdiscs.ROOT, delay=0.001))
    except TargetError:
        return NO_NETEM
    finally:
        namespaces.remove(scratch)
    return ""


def prepare(lab: "Lab", deed: Deed, change: Shape) -> Undo:
    """The devices, and that their root disciplines are the kernel's own; Refused otherwise."""
    if change.direction not in ("ingress", "egress"):
        raise InputError("", f"{change.direction!r} is not a direction", "use ingress or egress")
    if not change.rate and not change.needs_netem:
        raise InputError("", f"the shape at {change.site} changes nothing", "give a rate, a delay or a share")
    if change.reorder and not change.delay:
        raise Refused("packets overtake others only where those wait: reorder needs a delay")
    match.expressions(change.match)
    if deed.index >= qdiscs.MOST_CLASSES:
        raise Refused(f"one fault makes more than {qdiscs.MOST_CLASSES} changes; split it")
    spots = _spots(lab, change.site, change.direction)
    for namespace, device in spots:
        netlink = lab.namespaces.netlink(namespace)
        index = netlink.link(device).index
        for qdisc in netlink.qdiscs():
            if qdisc.index == index and qdisc.parent == qdiscs.ROOT and qdisc.handle:
                there = f"{qdisc.kind} {qdisc.handle >> 16:x}:"
                raise Refused(f"{device} at {namespace} has a queueing discipline already ({there}); remove it first")
    for namespace in dict(spots):
        tables.refuse_if_taken(lab, deed.ticket, namespace)
    where = ", ".join(f"{device} at {namespace}" for namespace, device in spots)
    return Undo(
        "qdisc",
        {
            "spots": [list(spot) for spot in spots],
            "ticket": deed.ticket,
            "index": deed.index,
            "shared": True,
            "knobs": [f"the queue of {device} at {namespace}" for namespace, device in spots],
        },
        f"delete qdisc {qdiscs.HANDLE >> 16:x}: of {where}",
    )


def do(lab: "Lab", deed: Deed, change: Shape, undo: Undo) -> None:
    """First the discipline, through which everything passes unhindered, then the rule that sends packets into it."""
    for namespace, device in undo.arguments["spots"]:
        netlink = lab.namespaces.netlink(namespace)
        index = netlink.link(device).index
        # An earlier change of this fault may have made the root: two streams of packets share a device, each its class.
        shared = any(qdisc.index == index and qdisc.handle == qdiscs.HANDLE for qdisc in netlink.qdiscs())
        steps = [qdiscs.branch(index, deed.index)] if shared else [qdiscs.root(index), qdiscs.branch(index, deed.index)]
        parent = qdiscs.class_of(deed.index)
        if change.rate:
            steps.append(qdiscs.bucket(index, change.rate, parent, deed.index))
            parent = qdiscs.below_bucket(deed.index)
        if change.needs_netem:
            spoils = (change.delay, change.jitter, change.loss, change.duplicate, change.corrupt, change.reorder)
            steps.append(qdiscs.spoiler(index, parent, *spoils, number=deed.index))
        try:
            netlink.send(*steps)
        except TargetError as error:
            cause = error.__cause__
            if change.needs_netem and isinstance(cause, OSError) and cause.errno == errno.ENOENT:
                raise Unsupported(NO_NETEM) from error
            raise
        lab.namespaces.nft(namespace).run(render(deed, change, device))


def render(deed: Deed, change: Shape, device: str) -> str:
    """The nftables text that sends matching packets of ``device`` to our class; pure."""
    whats = match.expressions(change.match)
    rules = [f"{what} counter meta priority set 0x{qdiscs.class_of(deed.index):08x}".lstrip() for what in whats]
    # One device may come up in several namespaces; the chain's name need only be unlike others of its table.
    name = "".join(letter for letter in device if letter.isalnum()) or "device"
    return tables.fused(deed.ticket, deed.seconds, "netdev") + tables.chain(
        deed.ticket, deed.index, name, "filter", "egress", 0, rules, device
    )


def take_back(lab: "Lab", undo: Undo) -> None:
    """Delete the ticket's rules, then our discipline; another's root, or a device that is gone, is left alone."""
    for namespace, device in undo.arguments["spots"]:
        tables.remove(lab, undo.arguments["ticket"], namespace, "netdev")
        if namespace in lab.namespaces:
            remove_qdisc(lab, namespace, device)


def remove_qdisc(lab: "Lab", namespace: str, device: str) -> bool:
    """Remove our root discipline from a device; whether there was one."""
    netlink = lab.namespaces.netlink(namespace)
    for link in netlink.links():
        if link.name == device and any(q.index == link.index and q.handle == qdiscs.HANDLE for q in netlink.qdiscs()):
            netlink.send(qdiscs.remove(link.index), ignore=(errno.ENOENT, errno.EINVAL, errno.ENODEV))
            return True
    return False


def read_back(lab: "Lab", deed: Deed, change: Shape, undo: Undo) -> Reading:
    """Whether every device has our discipline and the rule that fills it."""
    packets = octets = 0
    for namespace, device in undo.arguments["spots"]:
        if namespace not in lab.namespaces:
            return Reading(False, f"{namespace} is gone")
        netlink = lab.namespaces.netlink(namespace)
        index = next((link.index for link in netlink.links() if link.name == device), 0)
        if not any(q.index == index and q.handle == qdiscs.HANDLE for q in netlink.qdiscs()):
            return Reading(False, f"{device} at {namespace} has no queueing discipline of ours")
        rules, seen, size = tables.counts(lab, deed.ticket, namespace, "netdev").get(deed.index, (0, 0, 0))
        if not rules:
            return Reading(False, f"no rule sends packets of {device} at {namespace} into our queueing discipline")
        packets, octets = packets + seen, octets + size
    where = ", ".join(f"{device} at {namespace}" for namespace, device in undo.arguments["spots"])
    return Reading(True, f"{packets} packets went through our queue of {where}", {"packets": packets, "bytes": octets})


def _spots(lab: "Lab", site: Site, direction: str) -> list[tuple[str, str]]:
    """Where packets of this direction leave a device: the site's own, or the far end of its cable.

    A router without an interface has no inside: all it forwards leaves by one of its devices.
    """
    namespace = site_namespace(site)
    if site.kind == "router" and not site.interface:
        links = lab.namespaces.netlink(namespace).links()
        return [(namespace, link.name) for link in links if link.name != "lo" and not link.master]
    if direction == "egress":
        return [(namespace, lab.interface(site))]
    if site.kind == "pod":
        return [lab.host_side(site)]
    return [devices.far_end(lab, namespace, lab.interface(site))]
