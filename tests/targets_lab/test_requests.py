"""Requests to rtnetlink, read back by pyroute2: an independent reader of the same bytes."""

import socket
from typing import Any

import pytest
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from chaosnet.lab.blueprint import Device
from chaosnet.targets.lab import requests

HERE, THERE = Device("a", "eth0", 2, "02:00:00:00:00:01"), Device("b", "pod7", 2007, "ee:ee:ee:ee:ee:ee")


def read(kind: Any, data: bytes) -> Any:
    message = kind(data)
    message.decode()
    assert message["header"]["length"] == len(data)
    return message


def test_a_veth_says_both_its_ends() -> None:
    message = read(ifinfmsg, requests.veth(HERE, THERE, 1500, 42))
    assert (message["index"], message["flags"] & 1, message["header"]["type"]) == (2, 1, 16)
    assert message["header"]["flags"] == 0x605  # request, acknowledge, create, exclusive
    assert {key: message.get_attr(f"IFLA_{key}") for key in ("IFNAME", "MTU", "ADDRESS")} == {
        "IFNAME": "eth0", "MTU": 1500, "ADDRESS": "02:00:00:00:00:01",
    }  # fmt: skip
    info = message.get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_KIND") == "veth"
    far = info.get_attr("IFLA_INFO_DATA").get_attr("VETH_INFO_PEER")
    assert (far["index"], far["flags"] & 1) == (2007, 0)
    assert {key: far.get_attr(f"IFLA_{key}") for key in ("IFNAME", "MTU", "ADDRESS", "NET_NS_FD")} == {
        "IFNAME": "pod7", "MTU": 1500, "ADDRESS": "ee:ee:ee:ee:ee:ee", "NET_NS_FD": 42,
    }  # fmt: skip


def test_a_bridge_and_a_vxlan() -> None:
    assert (
        read(ifinfmsg, requests.bridge("br", 1550, HERE.mac, 9)).get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_KIND") == "bridge"
    )
    message = read(ifinfmsg, requests.vxlan("vx", 1450, HERE.mac, 9, 7, "192.0.2.1", 2))
    data = message.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_DATA")
    assert {key: data.get_attr(f"IFLA_VXLAN_{key}") for key in ("ID", "LINK", "LOCAL", "LEARNING", "PORT")} == {
        "ID": 7, "LINK": 2, "LOCAL": "192.0.2.1", "LEARNING": 0, "PORT": 4789,
    }  # fmt: skip


@pytest.mark.parametrize(("up", "flags", "change"), [(True, 1, 1), (False, 0, 1), (None, 0, 0)])
def test_a_link_changes_only_what_is_said(up: bool | None, flags: int, change: int) -> None:
    message = read(ifinfmsg, requests.change_link(5, up=up, mtu=1400))
    assert (message["index"], message["flags"], message["change"]) == (5, flags, change)
    assert (message.get_attr("IFLA_MTU"), message.get_attr("IFLA_MASTER")) == (1400, None)
    assert read(ifinfmsg, requests.change_link(5, master=9)).get_attr("IFLA_MASTER") == 9


@pytest.mark.parametrize(("text", "family", "prefix"), [("10.0.0.1", socket.AF_INET, 24), ("2001:db8::1", socket.AF_INET6, 64)])
def test_an_address(text: str, family: int, prefix: int) -> None:
    message = read(ifaddrmsg, requests.address(3, text, prefix))
    assert (message["family"], message["index"], message["prefixlen"], message.get_attr("IFA_LOCAL")) == (family, 3, prefix, text)


def test_neighbours() -> None:
    message = read(ndmsg, requests.neighbour(3, "169.254.1.1", "ee:ee:ee:ee:ee:ee"))
    assert (message["ifindex"], message["state"], message["flags"]) == (3, 0x80, 0)
    assert (message.get_attr("NDA_DST"), message.get_attr("NDA_LLADDR")) == ("169.254.1.1", "ee:ee:ee:ee:ee:ee")
    message = read(ndmsg, requests.forwarding(3, "02:00:00:00:00:09", "192.0.2.9"))
    assert (message["family"], message["flags"], message.get_attr("NDA_DST")) == (socket.AF_BRIDGE, 2, "192.0.2.9")


def test_routes() -> None:
    message = read(
        rtmsg, requests.route("10.1.0.0/16", index=2, via="192.0.2.1", mtu=1450, metric=5, source="192.0.2.2", onlink=True)
    )
    assert {key: message[key] for key in ("dst_len", "table", "proto", "type", "scope", "flags")} == {
        "dst_len": 16, "table": 254, "proto": 4, "type": 1, "scope": 0, "flags": 4,
    }  # fmt: skip
    assert {key: message.get_attr(f"RTA_{key}") for key in ("DST", "OIF", "GATEWAY", "PRIORITY", "PREFSRC")} == {
        "DST": "10.1.0.0", "OIF": 2, "GATEWAY": "192.0.2.1", "PRIORITY": 5, "PREFSRC": "192.0.2.2",
    }  # fmt: skip
    assert message.get_attr("RTA_METRICS").get_attr("RTAX_MTU") == 1450
    default = read(rtmsg, requests.route("0.0.0.0/0", index=2, via="192.0.2.1", delete=True))
    assert (default["dst_len"], default.get_attr("RTA_DST"), default["header"]["type"]) == (0, None, 25)
    assert read(rtmsg, requests.route("10.0.0.1/32", index=2))["scope"] == 253
