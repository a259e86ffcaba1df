"""Which devices are a site's outside, and their names in nftables text.

It chooses among what the lab made; it makes and changes no device.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from chaosnet.errors import TargetError
from chaosnet.lab import blueprint
from chaosnet.model.change import Match
from chaosnet.model.inventory import Site

if TYPE_CHECKING:
    from chaosnet.targets.lab.lab import Lab

# What the kernel lets an interface be called (dev_valid_name) is wider; the lab makes only such names.
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,15}", re.ASCII)


def outward(lab: "Lab", site: Site, match: Match) -> tuple[str, ...]:
    """The devices between ``site`` and the rest of the world; empty for a router, which has no inside.

    On a node with a VXLAN overlay a packet to another node's pod leaves twice, by the VXLAN device and, wrapped, by the
    uplink.  A match on anything can only mean the packet inside; a match on everything means what leaves in the end.
    """
    if site.kind == "router" and not site.interface:
        return ()
    own = lab.interface(site)
    if site.kind != "node" or site.interface or match == Match() or lab.topology.cluster(site.cluster).overlay != "vxlan":
        return (own,)
    return (own, blueprint.TUNNEL)


def far_end(lab: "Lab", namespace: str, device: str) -> tuple[str, str]:
    """Namespace and device at the other end of a cable between nodes and routers; TargetError where there is none."""
    for cable in lab.blueprint.cables:
        for here, there in ((cable.a, cable.b), (cable.b, cable.a)):
            if (here.namespace, here.name) == (namespace, device):
                return there.namespace, there.name
    raise TargetError(f"no cable of the lab ends at {device} of {namespace}")


def named(word: str, names: Iterable[str]) -> str:
    """``oifname "eth0"`` or ``oifname { "eth0", "vxlan0" }``; TargetError for a name that is not one of the lab's."""
    quoted = [quote(name) for name in names]
    return f"{word} {quoted[0] if len(quoted) == 1 else '{ ' + ', '.join(quoted) + ' }'}"


def quote(name: str) -> str:
    """The device's name as nftables text."""
    if not _NAME.fullmatch(name):
        raise TargetError(f"{name!r} is not an interface of the lab")
    return f'"{name}"'
