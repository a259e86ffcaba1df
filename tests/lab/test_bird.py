"""BIRD's files, and the routes that must follow from them."""

from chaosnet.lab import bird, topology

SMALL = """\
name: small
bgp: {hold: 9s, keepalive: 3s, retry: 3s}
clusters:
  west:
    asn: 64512
    network: 192.168.10.0/24
    services: 10.97.0.0/16
    dns: 10.97.0.10
    router: r-west
    nodes: {w-1: {pods: 10.0.1.0/24}, w-2: {pods: 10.0.2.0/24}}
  east:
    asn: 64513
    network: 192.168.20.0/24
    services: 10.96.0.0/16
    dns: 10.96.0.10
    router: r-east
    OVERLAY
    nodes: {e-1: {pods: 10.1.1.0/24}, e-2: {pods: 10.1.2.0/24}}
links:
  - {between: [r-west, r-east], network: 192.168.100.0/30}
"""
PLAIN = topology.parse(SMALL.replace("OVERLAY", "overlay: none"), "small.yaml")
WRAPPED = topology.parse(SMALL.replace("OVERLAY", "overlay: vxlan"), "small.yaml")

NODE = """\
log stderr { warning, error, fatal, bug };
router id 192.168.10.11;
timeformat protocol iso long;
protocol device { }
protocol static announced {
  ipv4;
  route 10.0.1.0/24 blackhole;
  route 10.97.1.50/32 blackhole;
}
protocol kernel {
  merge paths on;
  ipv4 { import none; export where source = RTS_BGP; };
}
protocol bgp to_r_west {
  local 192.168.10.11 as 64512;
  neighbor 192.168.10.1 as 64512;
  direct;
  hold time 9;
  keepalive time 3;
  connect retry time 3;
  connect delay time 1;
  error wait time 1, 3;
  ipv4 { import all; export where source ~ [ RTS_STATIC, RTS_DEVICE, RTS_BGP ] && net != 192.168.10.0/24; next hop self ebgp; };
}
protocol bgp to_w_2 {
  local 192.168.10.11 as 64512;
  neighbor 192.168.10.12 as 64512;
  direct;
  hold time 9;
  keepalive time 3;
  connect retry time 3;
  connect delay time 4;
  error wait time 1, 3;
  ipv4 { import all; export where source ~ [ RTS_STATIC, RTS_DEVICE, RTS_BGP ] && net != 192.168.10.0/24; next hop self ebgp; };
}
"""
ROUTER_SESSION = """\
protocol bgp to_r_east {
  local 192.168.100.1 as 64512;
  neighbor 192.168.100.2 as 64513;
  direct;
  hold time 9;
  keepalive time 3;
  connect retry time 3;
  connect delay time 4;
  error wait time 1, 3;
  ipv4 { import all; export where source ~ [ RTS_STATIC, RTS_DEVICE, RTS_BGP ]; };
}
"""


def test_the_file_of_a_node() -> None:
    assert bird.render(PLAIN, "west/w-1", ("10.97.1.50",)) == NODE


def test_a_router_peers_with_its_nodes_and_along_its_links() -> None:
    text = bird.render(PLAIN, "r-west")
    assert "protocol direct { ipv4; }" in text
    assert [line for line in text.splitlines() if line.startswith("protocol bgp")] == [
        "protocol bgp to_w_1 {", "protocol bgp to_w_2 {", "protocol bgp to_r_east {",
    ]  # fmt: skip
    assert text.endswith(ROUTER_SESSION)


def test_an_overlay_keeps_its_own_ranges_out_of_the_kernel() -> None:
    assert "export where source = RTS_BGP && !(net ~ [ 10.1.1.0/24, 10.1.2.0/24 ]);" in bird.render(WRAPPED, "east/e-1")
    assert "export where source = RTS_BGP;" in bird.render(WRAPPED, "r-east")


def test_every_session_has_its_other_end() -> None:
    ends = {(speaker, peer.namespace) for speaker in bird.speakers(PLAIN) for peer in bird.peers(PLAIN, speaker)}
    assert ends == {(there, here) for here, there in ends}
    # A full mesh of three in each cluster, and one link.
    assert len(ends) == 2 * (3 + 3 + 1)


def test_expected_routes_follow_announcements() -> None:
    services = {"east/e-1": ("10.96.1.1",), "east/e-2": ("10.96.1.1", "10.96.1.2")}
    found = bird.expected(PLAIN, services)
    away = ("10.1.1.0/24", "10.1.2.0/24", "10.96.1.1/32", "10.96.1.2/32", "192.168.20.0/24", "192.168.100.0/30")
    assert found["west/w-1"] == {"10.0.2.0/24": {"192.168.10.12"}} | {prefix: {"192.168.10.1"} for prefix in away}
    assert found["r-west"]["10.96.1.1/32"] == {"192.168.100.2"}
    # Two nodes announce it: both are next hops.
    assert found["r-east"]["10.96.1.1/32"] == {"192.168.20.11", "192.168.20.12"}
    # Who announces an address itself keeps its own route to it.
    assert "10.96.1.1/32" not in found["east/e-2"]
    assert "10.96.1.2/32" in found["east/e-1"]
    assert "192.168.100.0/30" not in found["r-west"]


def test_expected_routes_leave_the_overlay_out() -> None:
    found = bird.expected(WRAPPED, {})
    assert "10.1.2.0/24" not in found["east/e-1"]
    assert "10.1.2.0/24" in found["r-east"]
    assert "10.1.2.0/24" in found["west/w-1"]


def test_nothing_is_expected_from_an_island() -> None:
    alone = topology.parse(SMALL.replace("OVERLAY", "overlay: none").partition("links:")[0], "small.yaml")
    assert bird.expected(alone, {})["west/w-1"] == {"10.0.2.0/24": {"192.168.10.12"}}


def test_equally_short_ways_are_all_expected() -> None:
    text = SMALL.replace("OVERLAY", "overlay: none").partition("links:")[0]
    links = [("r-west", "up"), ("up", "r-east"), ("r-west", "down"), ("down", "r-east")]
    text += "routers: {up: {asn: 65001}, down: {asn: 65002}}\nlinks:\n"
    text += "".join(f"  - {{between: [{a}, {b}], network: 192.168.100.{4 * n}/30}}\n" for n, (a, b) in enumerate(links))
    found = bird.expected(topology.parse(text, "square.yaml"), {})
    assert found["r-west"]["10.1.1.0/24"] == {"192.168.100.2", "192.168.100.10"}
    assert found["up"]["10.1.1.0/24"] == {"192.168.100.6"}
