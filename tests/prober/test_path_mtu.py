"""Path MTU: what pings and TCP find of healthy, healed and silent paths."""

import pytest

from chaosnet.errors import TargetError
from chaosnet.model.inventory import Site
from chaosnet.model.question import PathMtu
from chaosnet.targets.lab.pathmtu import sizes

pytestmark = pytest.mark.lab
CLIENT, WEB, NEAR, TRANSIT = "test/shop/client", "prod/prod-ns/web", "test/test-1", "transit"
SILENT = "icmp type destination-unreachable drop"


def measure(live, before=None, port=9000, ceiling=1500):
    async def scenario(world):
        if before is not None:
            before(world)
        return await world.prober.ask(PathMtu(world.site(CLIENT), world.site(WEB), port, ceiling))

    return live(scenario)


def shrink(world, mtu, name=NEAR, device="up"):
    world.run(name, "ip", "link", "set", "dev", device, "mtu", str(mtu))


def test_a_healthy_path_carries_its_ceiling(live):
    found = measure(live)
    assert (found.icmp, found.told) == (1500, 0)
    assert (found.tcp_there, found.tcp_back) == (60000, 60000)
    assert found.swept == sizes(1500)


def test_an_http_port_serves_as_well(live):
    found = measure(live, port=8080)
    assert (found.tcp_there, found.tcp_back) == (60000, 60000)


def test_a_pod_of_its_own_small_mtu_is_told_by_its_own_kernel(live):
    found = measure(live, lambda world: shrink(world, 1400, CLIENT, "eth0"))
    assert (found.icmp, found.told) == (1400, 1400)
    assert (found.tcp_there, found.tcp_back) == (60000, 60000)  # MSS takes care of it


def test_a_larger_ceiling_finds_the_interface(live):
    found = measure(live, ceiling=9000)
    assert (found.icmp, found.told) == (1500, 1500)


@pytest.mark.parametrize("mtu", [1450, 1300, 600])
def test_a_small_hop_that_says_so_is_healed(live, mtu):
    found = measure(live, lambda world: shrink(world, mtu))
    assert (found.icmp, found.told) == (mtu, mtu)
    assert found.tcp_there == 60000


def test_a_black_hole_hangs_there_and_not_back(live):
    def hole(world):
        shrink(world, 1450)
        world.drop(NEAR, SILENT, "output")

    found = measure(live, hole)
    assert (found.icmp, found.told) == (1450, 0)
    # A segment of 1450 bytes has 52 of headers with timestamps: 1398 go through, one full segment does not.
    assert found.tcp_there == max(size for size in sizes(1500) if size <= 1398) == 1388
    assert found.tcp_back == 60000


def test_a_black_hole_on_the_way_back(live):
    def hole(world):
        world.run(TRANSIT, "ip", "route", "change", "10.0.1.0/24", "via", "192.168.10.11", "dev", "test", "mtu", "1450")
        world.drop(TRANSIT, SILENT, "output")

    found = measure(live, hole)
    assert found.icmp == 1500
    assert (found.tcp_there, found.tcp_back) == (60000, 1388)


def test_nothing_passes(live):
    found = measure(live, lambda world: world.drop(TRANSIT, "ip daddr 10.1.1.5 drop"))
    assert (found.icmp, found.told, found.tcp_there, found.tcp_back) == (0, 0, 0, 0)


def test_pings_alone_may_pass(live):
    found = measure(live, lambda world: world.drop(TRANSIT, "meta l4proto tcp drop"))
    assert (found.icmp, found.tcp_there, found.tcp_back) == (1500, 0, 0)


def test_lost_pings_are_sent_again(live):
    """Everything of the first salvo is lost, and nothing after it."""
    found = measure(live, lambda world: world.drop(TRANSIT, "meta l4proto icmp quota until 13000 bytes drop"))
    assert found.icmp == 1500


def test_a_destination_without_an_address_is_an_error(live):
    async def scenario(world):
        with pytest.raises(TargetError, match="has no address"):
            await world.prober.ask(PathMtu(world.site(CLIENT), Site("pod", "prod", "prod-ns", "bare"), 9000))

    live(scenario)
