"""LinkMtu: the MTU of one interface, its old value kept.

The old value is put back only where ours still stands: what somebody set meanwhile is theirs.  Routes with an MTU of
their own are the business of ``routes``; hiding the ICMP messages is a Filter that the fault adds.
"""

from typing import TYPE_CHECKING

from chaosnet.errors import InputError, Refused, Unsupported
from chaosnet.model.change import LinkMtu
from chaosnet.model.fault import Reading
from chaosnet.model.ticket import Undo
from chaosnet.targets.lab.lowering import Deed
from chaosnet.targets.lab.namespaces import site_namespace

if TYPE_CHECKING:
    from chaosnet.targets.lab.lab import Lab

OPS = ("link mtu",)
# RFC 791: every host must take 576 bytes.
_LEAST, _MOST = 576, 65535


def prepare(lab: "Lab", deed: Deed, change: LinkMtu) -> Undo:
    """The interface and its MTU now."""
    if change.site.kind == "router" and not change.site.interface:
        raise Unsupported(f"{change.site} has several interfaces; name one of its links, as in link:A--B")
    if not _LEAST <= change.mtu <= _MOST:
        raise InputError("", f"an MTU of {change.mtu} is outside {_LEAST} to {_MOST}", "give a size that IPv4 can use")
    namespace, device = site_namespace(change.site), lab.interface(change.site)
    now = lab.namespaces.netlink(namespace).link(device).mtu
    if now == change.mtu:
        raise Refused(f"the MTU of {device} at {namespace} is {now} already, so this would change nothing")
    return Undo(
        "link mtu",
        {
            "namespace": namespace,
            "device": device,
            "old": now,
            "new": change.mtu,
            "knobs": [f"the MTU of {device} at {namespace}"],
        },
        f"set the MTU of {device} at {namespace} back to {now}",
    )


def do(lab: "Lab", deed: Deed, change: LinkMtu, undo: Undo) -> None:
    """Set it."""
    netlink = lab.namespaces.netlink(undo.arguments["namespace"])
    netlink.set_mtu(netlink.link(undo.arguments["device"]).index, change.mtu)


def take_back(lab: "Lab", undo: Undo) -> None:
    """Set the old value, where ours still stands."""
    namespace, device = undo.arguments["namespace"], undo.arguments["device"]
    if namespace not in lab.namespaces:
        return
    netlink = lab.namespaces.netlink(namespace)
    for link in netlink.links():
        if link.name == device and link.mtu == undo.arguments["new"]:
            netlink.set_mtu(link.index, undo.arguments["old"])


def read_back(lab: "Lab", deed: Deed, change: LinkMtu, undo: Undo) -> Reading:
    """What the kernel says the MTU is."""
    namespace, device = undo.arguments["namespace"], undo.arguments["device"]
    links = lab.namespaces.netlink(namespace).links() if namespace in lab.namespaces else ()
    now = next((link.mtu for link in links if link.name == device), 0)
    return Reading(now == change.mtu, f"the MTU of {device} at {namespace} is {now}", {"mtu": now})
