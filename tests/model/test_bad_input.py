"""More than two hundred wrong endpoints, edges and places: each is answered by one sentence, never by a traceback."""

import pytest

from chaosnet.errors import InputError
from chaosnet.model.edge import parse_edge
from chaosnet.model.endpoint import parse_endpoint
from chaosnet.model.place import parse_place

# Text of every kind that is no endpoint: too few or too many parts, wrong words, wrong letters, and mischief.
BAD_ENDPOINTS = (
    "", " ", "/", "//", "///", "web", "a/", "/a", "a//b", "a/b/c/d", "a/b/c/d/e", "A/b", "shop/Client",
    "shop/cl ient",
    "shop/client ", " shop/client", "shop/client\n", "shop/-client", "shop/client-", "-shop/client", "shop/.client",
    "shop/client.", "shop/cl_ient", "shop/client;", "shop/$(reboot)", "shop/`id`", "shop/client|cat",
    "shop/../../etc/passwd",
    "shop/client&", "shop/<b>", "shop/'x'", 'shop/"x"', "shop/\x00", "shop/kliënt", "shop/客户", "shop/cl\tient",
    "shop/" + "a" * 300, "a" * 2000, "shop/client#1", "shop/client?", "shop/client!", "shop/client@1", "shop/client~",
    "svc:", "svc:web", "svc:/web", "svc:shop/", "svc:a/b/c/d", "svc:Shop/web", "svc:shop/web:8080",
    "svc:shop/app=web", "svc:svc:a/b",
    "SVC:shop/web", "Svc:shop/web", "service:shop/web", "srv:shop/web", "pod:shop/web", "deploy:shop/web",
    "deployment/shop:web",
    "node:", "node:worker-1", "node:test/", "node:/worker-1", "node:test/shop/worker-1", "node:test/Worker",
    "node:test/w 1",
    "Node:test/worker-1", "nodes:test/worker-1", "node:test/a=b", "node:test//worker",
    "ip:", "ip:localhost", "ip:10.0.0", "ip:10.0.0.256", "ip:10.0.0.0/8", "ip:10.0.0.1:80", "ip:::g",
    "ip:1::2::3", "ip:fe80::1%eth0",
    "ip: 10.0.0.1", "ip:10.0.0.1 ", "ip:0x0a000001", "ip:010.0.0.1", "IP:10.0.0.1", "ipv4:10.0.0.1", "10.0.0.1:80",
    "entity:", "entity:WORLD", "entity:a/b", "entity:a b", "entity:a=b", "Entity:world",
    "app=web", "=web", "shop/=web", "shop/app=", "shop/app==web", "shop/app=web,", "shop/,app=web",
    "shop/app=web,,tier=db",
    "shop/app=we b", "shop/ap p=web", "shop/app=web;tier=db", "shop/app!=web", "shop/app in (web)",
    "shop/app=web tier=db",
    "shop/app=-web", "shop/app=web-", "shop/-app=web", "shop/app=" + "a" * 64, "shop/" + "a" * 64 + "=web",
    "a/b/c/app=web",
    "a/b/c/d/app=web", "shop/app=web/x", "shop/APP/x=y", "shop/app=客户", "shop/app=\x00", "Shop/app=web",
    "test/Shop/app=web",
    "hop:upload/source-node", "link:a--b", "transit:x", "http://shop/web", "shop:web", "shop/web:8080", "a:b:c",
    ":", "::", ":shop/web",
    None, True, False, 0, 1, 1.5, [], ["shop/client"], {}, {"pod": "client"}, (), b"shop/client", object(),
)  # fmt: skip
# "shop/app=" writes an empty value, and Kubernetes has such labels.
GOOD_AFTER_ALL = {"shop/app="}

CASES = [value for value in BAD_ENDPOINTS if not (isinstance(value, str) and value in GOOD_AFTER_ALL)]
GOOD = {"from": "test/shop/client", "to": "svc:prod/prod-ns/prod-svc", "port": "8080/http"}
BAD_FIELDS = (
    {"port": ""}, {"port": None}, {"port": True}, {"port": False}, {"port": "http"}, {"port": "8080/"},
    {"port": "/tcp"},
    {"port": "8080/TCP"}, {"port": "8080/sctp"}, {"port": "8080/icmp"}, {"port": "0/tcp"}, {"port": "65536/tcp"},
    {"port": 0},
    {"port": -1}, {"port": 70000}, {"port": 8080.5}, {"port": "8080 /tcp"}, {"port": "8080:tcp"},
    {"port": "tcp/8080"},
    {"port": []},
    {"port": {}}, {"port": "8080/tcp/udp"}, {"port": "999999"}, {"port": "８０８０"}, {"port": "8080\n"}, {"port": "*"},
    {"port": "8080,8081"}, {"port": "8080-8090"}, {"port": "53/dns"}, {"port": "53/dns", "query": ""},
    {"port": "53/dns", "query": "a b"}, {"port": "53/dns", "query": 5}, {"port": "53/dns", "query": None},
    {"port": "53/dns", "query": True}, {"port": "53/dns", "query": ["a"]}, {"port": "53/dns", "query": "a" * 254},
    {"port": "53/dns", "query": "a;b"}, {"port": "53/dns", "query": "a\n"},
    {"port": "53/dns", "query": "naïve.example"},
    {"query": "example.org"}, {"query": 5}, {"send": "100 bytes"}, {"send": -1}, {"send": "1k"}, {"send": 1.5},
    {"send": None},
    {"send": True}, {"send": 10**8}, {"send": []}, {"receive": "x"}, {"receive": -5}, {"receive": {}},
    {"receive": 10**9},
    {"by": "ip"}, {"by": True}, {"by": None}, {"by": []}, {"by": "name", "to": "prod/prod-ns/web"},
    {"by": "name", "to": "ip:10.0.0.1"}, {"by": "Name"}, {"from": "svc:test/shop/cart"}, {"from": "ip:10.0.0.1"},
    {"from": "entity:world"}, {"from": None}, {"to": None}, {"to": ""}, {"from": True}, {"to": False},
    {"sent": 100}, {"From": "a/b"},
    {"target": "a/b"}, {"protocol": "tcp"}, {True: "x"}, {False: "x"}, {None: "x"}, {1: "x"}, {("a",): "x"},
    {"port": "9000/udp", "send": 65508}, {"port": "icmp", "send": 70000}, {"port": "9000/udp", "receive": 100000},
)  # fmt: skip
BAD_EDGES = (None, True, 5, "a → b", [], ["test/shop/client"], (), {}, {"from": "a/b"}, {"to": "a/b"}, {"port": 80}, b"x")
BAD_PLACES = (
    "hop:", "hop:upload", "hop:/source-node", "hop:upload/", "hop:upload/source", "hop:upload/middle",
    "hop:upload/Source-Node",
    "hop:upload/source-node/", "hop:upload/source-node ", "hop:upload:source-node", "hop:upload/source_node",
    "link:", "link:a", "link:a-b", "link:--", "link:a--", "link:--b", "link:a--b--c", "transit:",
    "Hop:upload/source-node",
    "hops:upload/source-node", "LINK:a--b", "Transit:x", "router:test/x", "edge:upload", "hop upload/source-node",
)  # fmt: skip


def one_sentence(error: InputError, place: str) -> None:
    text = str(error)
    assert text.startswith(place)
    assert "\n" not in text
    assert len(text) < 1000
    assert text.isprintable()
    assert error.exit == 2
    assert error.remedy


def test_there_are_more_than_two_hundred() -> None:
    assert len(CASES) + len(BAD_FIELDS) + len(BAD_EDGES) + len(BAD_PLACES) > 200


@pytest.mark.parametrize("text", CASES, ids=lambda value: ascii(value).partition(" at 0x")[0][:30])
def test_no_endpoint(text: object) -> None:
    with pytest.raises(InputError) as caught:
        parse_endpoint(text, "edges.upload.from")
    one_sentence(caught.value, "edges.upload.from: ")


@pytest.mark.parametrize("fields", BAD_FIELDS, ids=lambda value: ascii(value).partition(" at 0x")[0][:40])
def test_no_edge_with_such_a_field(fields: dict[object, object]) -> None:
    with pytest.raises(InputError) as caught:
        parse_edge("upload", GOOD | fields, "edges")
    one_sentence(caught.value, "edges.upload")


@pytest.mark.parametrize("fields", BAD_EDGES, ids=lambda value: ascii(value).partition(" at 0x")[0][:30])
def test_no_edge_at_all(fields: object) -> None:
    with pytest.raises(InputError) as caught:
        parse_edge("upload", fields, "edges")
    one_sentence(caught.value, "edges.upload")


PLACES = ("hop:upload/source-node", "link:a--b", "transit:x")


@pytest.mark.parametrize("text", [*BAD_PLACES, *(t for t in CASES if t not in PLACES)], ids=lambda v: ascii(v).partition(" at 0x")[0][:30])
def test_no_place(text: object) -> None:
    with pytest.raises(InputError) as caught:
        parse_place(text, "shrink_mtu.at")
    one_sentence(caught.value, "shrink_mtu.at: ")
