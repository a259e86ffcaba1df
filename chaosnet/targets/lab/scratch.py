"""What this kernel can do, found out by doing it: run as a program, it tries each feature in namespaces of its own.

``python -m chaosnet.targets.lab.scratch`` enters a user, mount and network namespace, tries, and prints one JSON object:
feature → empty where it worked, else what the kernel said.  Nothing outlives the process, and nothing outside is touched.
What a missing feature means for the user is :mod:`chaosnet.targets.lab.doctor`.
"""

import json
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext

from chaosnet.errors import ChaosnetError
from chaosnet.targets.lab.namespaces import CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUSER, Namespaces, unshare

NAMESPACES = "namespaces"
_FORWARD = "type filter hook forward priority 0; policy accept"
# Feature → the lines of one table that needs it.
_TABLES = {
    "nftables": (f"chain c {{ {_FORWARD}; ip daddr 192.0.2.1 tcp dport 80 counter drop; }}",),
    "fuse": (
        "set fuse { typeof meta nfproto; flags timeout; elements = { ipv4 timeout 60s, ipv6 timeout 60s }; }",
        f"chain c {{ {_FORWARD}; meta nfproto @fuse counter drop; }}",
    ),
    "reject": (f"chain c {{ {_FORWARD}; meta l4proto tcp reject with tcp reset; reject with icmpx type admin-prohibited; }}",),
    "ct count": (f"chain c {{ {_FORWARD}; ct state new ct count over 10 drop; }}",),
    "nat": (
        "chain c { type nat hook prerouting priority -100; ip daddr 192.0.2.1 dnat ip to 192.0.2.2; }",
        "chain d { type nat hook postrouting priority 100; masquerade; }",
    ),
    "notrack": ("chain c { type filter hook prerouting priority -300; notrack; }",),
    "share": (f"chain c {{ {_FORWARD}; numgen random mod 100 < 30 drop; }}",),
    "classify": (f"chain c {{ {_FORWARD}; meta priority set 0xc4a00001; }}",),
}


def enter() -> None:
    """Become root of new user, mount and network namespaces; OSError where the kernel says no."""
    user, group = os.getuid(), os.getgid()
    unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS)
    # user_namespaces(7): setgroups must be given up before an ordinary user may write gid_map.
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def tries() -> dict[str, str]:
    """Every feature, tried once."""
    try:
        enter()
        found = {NAMESPACES: _said(lambda: Namespaces().create("scratch"))}
    except OSError as error:
        return {NAMESPACES: error.strerror or str(error)}
    try:
        from chaosnet.targets.lab.nft import Nft

        rules = Nft(nullcontext)
    except ChaosnetError as error:
        found |= dict.fromkeys(_TABLES, str(error))
    else:
        for number, (feature, lines) in enumerate(_TABLES.items()):
            text = "\n".join((f"table inet t{number} {{", *lines, "}"))
            found[feature] = _said(lambda text=text: rules.run(text))  # type: ignore[misc]
    return found | _links()


def _links() -> dict[str, str]:
    from chaosnet.lab.blueprint import Device
    from chaosnet.targets.lab import netlink, qdiscs

    names, wire = Namespaces(), netlink.Netlink()
    names.create("far")
    here, there = Device("", "v0", 10, "02:00:00:00:00:01"), Device("far", "v1", 11, "02:00:00:00:00:02")
    found = {
        "veth": _said(lambda: wire.send(netlink.veth(here, there, 1500, names.descriptor("far")))),
        "bridge": _said(lambda: wire.send(netlink.bridge("b0", 1500, "02:00:00:00:00:03", 12))),
        "vxlan": _said(lambda: wire.send(netlink.vxlan("x0", 1450, "02:00:00:00:00:04", 13, 42, "192.0.2.1", 10))),
    }
    if found["veth"]:
        return found | dict.fromkeys(("htb", "tbf", "netem"), "no interface to try it on")
    for feature, requests in (
        ("htb", qdiscs.classifier(10)),
        ("tbf", (qdiscs.bucket(10, 10**6, qdiscs.ROOT),)),
        ("netem", (qdiscs.spoiler(10, qdiscs.ROOT, delay=0.01),)),
    ):
        found[feature] = _said(lambda requests=requests: wire.send(*requests))  # type: ignore[misc]
        if not found[feature]:
            wire.send(netlink.delete_link(10))
            wire.send(netlink.veth(here, there, 1500, names.descriptor("far")))
    return found


def _said(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except (ChaosnetError, OSError) as error:
        return str(error)
    return ""


if __name__ == "__main__":
    sys.stdout.write(json.dumps(tries()))
