"""Endpoints against what exists: what they find, and the sentence where they find nothing or too much."""

from dataclasses import replace

import pytest

from chaosnet.errors import InputError, Refused
from chaosnet.model.endpoint import parse_endpoint
from chaosnet.model.inventory import Inventory, Pod, Site, Sites, find, one


def names(inventory: Inventory, text: str) -> list[str]:
    """What an endpoint finds, as sites are said."""
    return [str(site) for site in find(inventory, parse_endpoint(text, "at"), "at")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("test/shop/client", ["test/shop/client-1"]),
        ("shop/client", ["test/shop/client-1"]),
        ("test/shop/client-1", ["test/shop/client-1"]),
        ("prod/prod-ns/web", ["prod/prod-ns/web-1", "prod/prod-ns/web-2"]),
        ("prod/prod-ns/web-2", ["prod/prod-ns/web-2"]),
        ("prod/prod-ns/*-2", ["prod/prod-ns/web-2"]),
        ("prod/prod-ns/app=web", ["prod/prod-ns/web-1", "prod/prod-ns/web-2"]),
        ("test/shop/*", ["test/shop/client-1", "test/shop/cart-1", "test/shop/cart-2"]),
        ("*/kube-system/kube-dns", ["test/kube-system/kube-dns-1", "prod/kube-system/kube-dns-1"]),
        ("svc:prod/prod-ns/prod-svc", ["svc:prod/prod-ns/prod-svc"]),
        ("svc:prod-ns/prod-svc", ["svc:prod/prod-ns/prod-svc"]),
        ("node:test/test-2", ["node:test/test-2"]),
        ("node:*/*-3", ["node:test/test-3", "node:prod/prod-3"]),
        ("node:test/transit-test", ["router:test/transit-test"]),
        ("ip:10.9.9.9", ["ip:10.9.9.9"]),
        ("entity:world", ["ip:world"]),
    ],
)
def test_what_an_endpoint_finds(inventory: Inventory, text: str, found: list[str]) -> None:
    assert names(inventory, text) == found


def test_a_service_has_its_own_address_and_its_endpoints(inventory: Inventory) -> None:
    (service,) = find(inventory, parse_endpoint("svc:prod/prod-ns/prod-svc", "at"))
    assert service.addresses == ("10.96.1.123", "10.1.1.10", "10.1.2.10")


def test_pods_know_their_node(inventory: Inventory) -> None:
    assert one(inventory, parse_endpoint("test/shop/client", "at")).node == "test-1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("test/shop/nobody", "'test/shop/nobody' selects nothing; there are .*test/shop/client"),
        ("staging/shop/client", "selects nothing"),
        ("test/shop/app=nobody", "selects nothing"),
        ("svc:test/shop/nobody", "there are svc:test/shop/cart"),
        ("node:test/test-9", "there are node:test/test-1"),
        ("kube-system/kube-dns", r"is in several clusters \(prod, test\); put the cluster in front"),
    ],
)
def test_nothing_found_is_an_error_with_the_nearest_names(inventory: Inventory, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        find(inventory, parse_endpoint(text, "at"), "partition.at")
    assert str(caught.value).startswith("partition.at: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["shop/client", "svc:shop/web", "node:test/worker"])
def test_where_there_is_nothing_at_all(text: str) -> None:
    with pytest.raises(InputError, match="there is none"):
        find(Inventory(), parse_endpoint(text, "at"), "at")


def test_one_takes_the_first_pod_of_a_workload(inventory: Inventory) -> None:
    assert one(inventory, parse_endpoint("prod/prod-ns/web", "at")).name == "web-1"
    assert one(inventory, parse_endpoint("prod/prod-ns/app=web", "at")).name == "web-1"


@pytest.mark.parametrize("text", ["test/shop/*", "node:test/*", "svc:prod/*/*"])
def test_one_refuses_a_crowd(inventory: Inventory, text: str) -> None:
    with pytest.raises(Refused, match=r"^partition\.at: .* name one of them$"):
        one(inventory, parse_endpoint(text, "at"), "partition.at")


def test_one_takes_a_pattern_that_means_one(inventory: Inventory) -> None:
    assert one(inventory, parse_endpoint("test/shop/cl*", "at")).name == "client-1"


def test_a_pods_name_is_matched_before_case_folding(inventory: Inventory) -> None:
    odd = Pod("test", "shop", "Client-9", "test-1", ("10.0.1.99",), workload="Client")
    more = replace(inventory, pods=(*inventory.pods, odd))
    assert names(more, "test/shop/client") == ["test/shop/client-1"]


def test_sites_gather_addresses_without_repeats(inventory: Inventory) -> None:
    a, b = Site("pod", addresses=("10.0.0.1", "10.0.0.2")), Site("pod", addresses=("10.0.0.2", "10.0.0.3"))
    sites = Sites({"at": (a, b)}, inventory)
    assert sites.addresses("at") == ("10.0.0.1", "10.0.0.2", "10.0.0.3")
    assert sites["peer"] == ()
    assert sites.addresses("peer") == ()
