"""Places: text to value and back, and the sites that each means in the default network."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosnet.errors import InputError, Refused, Unsupported
from chaosnet.model.edge import Edge, parse_edge
from chaosnet.model.inventory import Inventory, Site
from chaosnet.model.place import HOPS, parse_place, resolve

EDGES = {
    name: parse_edge(name, fields, "edges")
    for name, fields in {
        "upload": {"from": "test/shop/client", "to": "svc:prod/prod-ns/prod-svc", "port": "8080/http", "send": 3000},
        "direct": {"from": "test/shop/client", "to": "prod/prod-ns/db", "port": "5432/tcp"},
        "from-node": {"from": "node:test/test-1", "to": "prod/prod-ns/db", "port": "5432/tcp"},
        "outside": {"from": "test/shop/client", "to": "ip:192.0.2.1", "port": "80/tcp"},
        "crowd": {"from": "test/shop/*", "to": "prod/prod-ns/db", "port": "5432/tcp"},
    }.items()
}
NAMES = st.from_regex(r"[A-Za-z0-9][-A-Za-z0-9_→\[\]/:. ]{0,20}", fullmatch=True)
ENDS = st.from_regex(r"[a-z0-9]+(-[a-z0-9]+){0,2}", fullmatch=True)


@given(
    st.one_of(
        st.builds("hop:{}/{}".format, NAMES, st.sampled_from(HOPS)),
        st.builds("link:{}--{}".format, ENDS, ENDS),
        st.builds("transit:{}".format, ENDS),
        st.just("test/shop/client"),
        st.just("node:test/test-1"),
        st.just("svc:shop/cart"),
    )
)
def test_a_place_reads_back_as_itself(text: str) -> None:
    place = parse_place(text, "at")
    assert str(place) == text
    assert parse_place(str(place), "at") == place


def sites(text: str, inventory: Inventory) -> tuple[Site, ...]:
    return resolve(parse_place(text, "at"), EDGES, inventory, "shrink_mtu.at")


def test_the_hops_of_an_edge(inventory: Inventory) -> None:
    backends = ("10.96.1.123", "10.1.1.10", "10.1.2.10")
    (pod,) = sites("hop:upload/source-pod", inventory)
    assert (str(pod), pod.toward, pod.across) == ("test/shop/client-1", backends, ("10.0.1.10",))
    (node,) = sites("hop:upload/source-node", inventory)
    assert (str(node), node.toward, node.across) == ("node:test/test-1", backends, ("10.0.1.10",))
    assert node.addresses == ("192.168.10.11",)
    there = sites("hop:upload/destination-node", inventory)
    assert [str(site) for site in there] == ["node:prod/prod-1", "node:prod/prod-2"]
    assert {site.toward for site in there} == {("10.0.1.10",)}
    pods = sites("hop:upload/destination-pod", inventory)
    assert [str(site) for site in pods] == ["prod/prod-ns/web-1", "prod/prod-ns/web-2"]
    assert {site.across for site in pods} == {backends}


def test_a_link_has_two_ends_and_may_be_named_from_either(inventory: Inventory) -> None:
    there, back = sites("link:test-1--transit-test", inventory), sites("link:transit-test--test-1", inventory)
    assert [(site.kind, site.name, site.interface) for site in there] == [
        ("node", "test-1", "transit-test"),
        ("router", "transit-test", "test-1"),
    ]
    assert set(there) == set(back)


def test_a_transit_router(inventory: Inventory) -> None:
    (router,) = sites("transit:transit-prod", inventory)
    assert (router.kind, router.addresses) == ("router", ("192.168.20.1", "192.168.100.2"))


def test_an_endpoint_is_a_place(inventory: Inventory) -> None:
    assert [str(site) for site in sites("prod/prod-ns/web", inventory)] == ["prod/prod-ns/web-1", "prod/prod-ns/web-2"]


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("hop:uplaod/source-pod", InputError, "unknown edge 'uplaod'; declared are upload, direct"),
        ("hop:from-node/source-pod", InputError, "does not begin at a pod"),
        ("hop:outside/destination-node", InputError, "no pod is behind"),
        ("hop:crowd/source-node", Refused, "name one of them"),
        ("link:test-1--test-2", InputError, "there is no link 'test-1--test-2'; there are test-1--transit-test"),
        ("transit:test-1", InputError, "no transit router 'test-1'; there are transit-prod, transit-test"),
        ("transit:nobody", InputError, "no transit router"),
        ("test/shop/nobody", InputError, "selects nothing"),
        ("node:test/nobody", InputError, "selects nothing"),
    ],
)
def test_what_a_place_cannot_mean(inventory: Inventory, text: str, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        sites(text, inventory)
    assert str(caught.value).startswith("shrink_mtu.at: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["link:a--b", "transit:transit-test"])
def test_links_exist_in_the_lab_only(inventory: Inventory, text: str) -> None:
    cluster = replace(inventory, links=(), nodes=tuple(node for node in inventory.nodes if node.role == "node"))
    with pytest.raises(Unsupported, match="exists in the lab only; use hop:EDGE/source-node"):
        sites(text, cluster)


def test_a_pod_that_no_node_has_yet(inventory: Inventory) -> None:
    """Pending pods have an address of their own only rarely, and a node never: a sentence, no KeyError."""
    pods = tuple(replace(pod, node="") if pod.workload == "client" else pod for pod in inventory.pods)
    with pytest.raises(InputError, match="client-1 is on no node that is there"):
        sites("hop:upload/source-node", replace(inventory, pods=pods))


def test_no_edges_at_all(inventory: Inventory) -> None:
    nothing: dict[str, Edge] = {}
    with pytest.raises(InputError, match="declared are none"):
        resolve(parse_place("hop:upload/source-pod", "at"), nothing, inventory, "at")
