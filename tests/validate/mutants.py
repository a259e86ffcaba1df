"""Good experiments, topologies and manifests, and the ways in which people get them wrong.

A mutation is named and takes the plain document apart; each makes it wrong for sure.  The seeded generator below draws more of
them; texts that are no YAML at all are :data:`TEXTS`.
"""

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

EXPERIMENT: dict[str, Any] = {
    "title": "MTU black hole",
    "description": "The first hop carries 1450 bytes and says nothing.",
    "tags": ["mtu"],
    "configuration": {"fuse": {"type": "env", "key": "CHAOSNET_TEST_DURATION", "default": "60s"}},
    "runtime": {"rollbacks": {"strategy": "always"}, "hypothesis": {"strategy": "default"}},
    "extensions": [
        {
            "name": "chaosnet",
            "clusters": ["test", "prod"],
            "edges": {
                "small": {"from": "test/shop/client", "to": "svc:prod/prod-ns/prod-svc", "port": "8080/http", "send": 100},
                "upload": {"from": "test/shop/client", "to": "svc:prod/prod-ns/prod-svc", "port": "8080/http", "send": 3000},
            },
            "break": ["upload"],
            "may": [],
            "expect": "pass",
        }
    ],
    "controls": [{"name": "chaosnet", "provider": {"type": "python", "module": "chaosnet.control"}}],
    "steady-state-hypothesis": {
        "title": "Health checks go on",
        "probes": [
            {
                "type": "probe",
                "name": "small requests",
                "tolerance": True,
                "provider": {
                    "type": "python",
                    "module": "chaosnet.probes.reach",
                    "func": "edges_open",
                    "arguments": {"edges": ["small"], "timeout": "1s"},
                },
            }
        ],
    },
    "method": [
        {
            "type": "action",
            "name": "shrink the first hop",
            "provider": {
                "type": "python",
                "module": "chaosnet.faults.mtu",
                "func": "shrink_mtu",
                "arguments": {"at": "hop:upload/source-node", "mtu": "1450", "icmp": "drop", "duration": "${fuse}"},
            },
            "pauses": {"after": 20},
        }
    ],
    "rollbacks": [
        {
            "type": "action",
            "name": "undo",
            "provider": {"type": "python", "module": "chaosnet.faults.undo", "func": "undo"},
        }
    ],
}

TOPOLOGY: dict[str, Any] = {
    "name": "small",
    "mtu": {"pods": 1500, "underlay": 1550},
    "bgp": {"hold": "9s", "keepalive": "3s", "retry": "3s"},
    "clusters": {
        "test": {
            "cni": "cilium", "asn": 64512, "network": "192.168.10.0/24", "services": "10.97.0.0/16", "dns": "10.97.0.10",
            "domain": "cluster.local", "router": "transit-test", "overlay": "none",
            "nodes": {"test-1": {"pods": "10.0.1.0/24"}, "test-2": {"pods": "10.0.2.0/24"}},
        },
        "prod": {
            "cni": "calico", "asn": 64513, "network": "192.168.20.0/24", "services": "10.96.0.0/16", "dns": "10.96.0.10",
            "router": "transit-prod", "nodes": {"prod-1": {"pods": "10.1.1.0/24"}},
        },
    },
    "links": [{"between": ["transit-test", "transit-prod"], "network": "192.168.100.0/30", "mtu": 1550}],
}  # fmt: skip

MANIFEST: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "web", "ports": [{"name": "http", "containerPort": 8080}]}]},
        },
    },
}

Steps = tuple[str | int, ...]
ARGUMENTS: Steps = ("method", 0, "provider", "arguments")
PROBE: Steps = ("steady-state-hypothesis", "probes", 0)
BLOCK: Steps = ("extensions", 0)
_NOTHING = object()


def put(document: dict[str, Any], steps: Steps, value: Any) -> dict[str, Any]:
    """A copy with ``value`` at ``steps``; ``_NOTHING`` takes away what is there."""
    changed = copy.deepcopy(document)
    here: Any = changed
    for step in steps[:-1]:
        here = here[step]
    if value is _NOTHING:
        del here[steps[-1]]
    else:
        here[steps[-1]] = value
    return changed


def rename(document: dict[str, Any], steps: Steps, key: str) -> dict[str, Any]:
    """A copy in which the last of ``steps`` is spelt ``key``."""
    changed = copy.deepcopy(document)
    here: Any = changed
    for step in steps[:-1]:
        here = here[step]
    here[key] = here.pop(steps[-1])
    return changed


def experiments() -> Iterator[tuple[str, dict[str, Any]]]:
    """Experiments that are wrong, each with what it should be told of (a piece of the sentence)."""
    for steps, key in (
        (("rollbacks",), "rollback"), (("method",), "methods"), (("title",), "titel"), (("controls",), "control"),
        (("runtime",), "run-time"), (("configuration",), "config"), (("steady-state-hypothesis",), "steady-state-hypotheses"),
        (("extensions",), "extension"), (("method", 0, "pauses"), "pause"), (("method", 0, "pauses", "after"), "afterwards"),
        (("method", 0, "provider", "arguments"), "argument"), (("method", 0, "provider", "func"), "function"),
        (("method", 0, "provider", "module"), "mod"), (("method", 0, "type"), "kind"), (("method", 0, "name"), "nam"),
        ((*ARGUMENTS, "mtu"), "mut"), ((*ARGUMENTS, "icmp"), "icmpp"), ((*ARGUMENTS, "at"), "ta"),
        ((*ARGUMENTS, "duration"), "duratoin"), ((*PROBE, "tolerance"), "tolerence"), ((*PROBE, "provider"), "providers"),
        ((*PROBE, "provider", "arguments", "edges"), "edge"), ((*PROBE, "provider", "arguments", "timeout"), "time_out"),
        (("runtime", "rollbacks"), "rollback"), (("runtime", "rollbacks", "strategy"), "stategy"),
        (("runtime", "hypothesis", "strategy"), "frequency"), ((*BLOCK, "break"), "breaks"), ((*BLOCK, "may"), "might"),
        ((*BLOCK, "edges"), "edge"), ((*BLOCK, "clusters"), "cluster"), ((*BLOCK, "expect"), "expects"),
        ((*BLOCK, "edges", "small", "from"), "form"), ((*BLOCK, "edges", "small", "to"), "too"),
        ((*BLOCK, "edges", "small", "port"), "prot"), ((*BLOCK, "edges", "small", "send"), "sent"),
        (("configuration", "fuse", "default"), "defualt"), (("controls", 0, "provider"), "providr"),
        (("controls", 0, "provider", "module"), "modul"),
    ):  # fmt: skip
        yield key, rename(EXPERIMENT, steps, key)
    for piece, steps, value in (
        ("title", ("title",), ""), ("description", ("description",), None), ("method", ("method",), None),
        ("method", ("method",), {}), ("activity", ("method", 0), "shrink"), ("activity", ("method", 0), None),
        ("tag", ("tags",), [1]), ("tag", ("tags",), [""]), ("tags", ("tags",), "mtu"),
        ("'sometimes'", ("runtime", "rollbacks", "strategy"), "sometimes"), ("skips the undo", ("runtime", "rollbacks", "strategy"), "default"),
        ("skips the undo", ("runtime", "rollbacks", "strategy"), "never"), ("skips the undo", ("runtime",), _NOTHING),
        ("'twice'", ("runtime", "hypothesis", "strategy"), "twice"), ("control", ("controls",), []),
        ("control", ("controls",), _NOTHING), ("chaosnet.controls", ("controls", 0, "provider", "module"), "chaosnet.controls"),
        ("twice", ("controls",), EXPERIMENT["controls"] * 2), ("scope", ("controls", 0, "scope"), "before"),
        ("automatic", ("controls", 0, "automatic"), False), ("top", ("method", 0, "controls"), EXPERIMENT["controls"]),
        ("background", ("method", 0, "background"), True), ("background", ("method", 0, "background"), "yes please"),
        ("seconds", ("method", 0, "pauses", "after"), "5s"), ("seconds", ("method", 0, "pauses", "after"), -1),
        ("goes off", ("method", 0, "pauses", "after"), 60), ("goes off", ("method", 0, "pauses", "after"), 600),
        ("goes off", (*ARGUMENTS, "duration"), "10s"), ("no unit", (*ARGUMENTS, "duration"), "60"),
        ("no unit", (*ARGUMENTS, "duration"), 60), ("unit", (*ARGUMENTS, "duration"), "60parsecs"),
        ("duration", (*ARGUMENTS, "duration"), "0s"), ("duration", (*ARGUMENTS, "duration"), "-5s"),
        ("duration", (*ARGUMENTS, "duration"), None), ("duration", (*ARGUMENTS, "duration"), True),
        ("duration", (*ARGUMENTS, "duration"), ["60s"]), ("duration", (*ARGUMENTS, "duration"), {"seconds": 60}),
        ("fues", (*ARGUMENTS, "duration"), "${fues}"), ("mtu", (*ARGUMENTS, "mtu"), "1450 bytes"),
        ("mtu", (*ARGUMENTS, "mtu"), "1450b"), ("mtu", (*ARGUMENTS, "mtu"), 10), ("mtu", (*ARGUMENTS, "mtu"), 99999),
        ("mtu", (*ARGUMENTS, "mtu"), ""), ("mtu", (*ARGUMENTS, "mtu"), "-1450"), ("mtu", (*ARGUMENTS, "mtu"), 1450.5),
        ("mtu", (*ARGUMENTS, "mtu"), False), ("mtu", (*ARGUMENTS, "mtu"), _NOTHING), ("at", (*ARGUMENTS, "at"), _NOTHING),
        ("icmp", (*ARGUMENTS, "icmp"), "dropp"), ("boolean", (*ARGUMENTS, "icmp"), False),
        ("scope", (*ARGUMENTS, "scope"), "everything"), ("uplaod", (*ARGUMENTS, "at"), "hop:uplaod/source-node"),
        ("spot", (*ARGUMENTS, "at"), "hop:upload/source-nod"), ("hop", (*ARGUMENTS, "at"), "hop:upload"),
        ("nowhere", (*ARGUMENTS, "at"), "link:nowhere--here"), ("transit", (*ARGUMENTS, "at"), "transit:"),
        ("transit-nowhere", (*ARGUMENTS, "at"), "transit:transit-nowhere"), ("at", (*ARGUMENTS, "at"), ""),
        ("at", (*ARGUMENTS, "at"), 7), ("at", (*ARGUMENTS, "at"), "test/shop/Client!"), ("at", (*ARGUMENTS, "at"), "a/b/c/d/e"),
        ("nobody", (*ARGUMENTS, "at"), "test/shop/nobody"), ("chaosnet.faults.mtuu", ("method", 0, "provider", "module"), "chaosnet.faults.mtuu"),
        ("shrink_mut", ("method", 0, "provider", "func"), "shrink_mut"), ("chaosnet.fault", ("method", 0, "provider", "module"), "chaosnet.fault.mtu"),
        ("partition", ("method", 0, "provider", "func"), "partition"), ("type", ("method", 0, "provider", "type"), "pyhton"),
        ("type", ("method", 0, "type"), "fault"), ("no probe", ("method", 0, "type"), "probe"), ("name", ("method", 0, "name"), ""),
        ("arguments", ("method", 0, "provider", "arguments"), ["1450"]), ("arguments", ("method", 0, "provider", "arguments"), "1450"),
        ("provider", ("method", 0, "provider"), _NOTHING), ("timeout", ("method", 0, "timeout"), 5),
        ("tolerance", ("method", 0, "tolerance"), True), ("fraction", (*PROBE, "tolerance"), 0.5),
        ("tolerance", (*PROBE, "tolerance"), None), ("tolerance", (*PROBE, "tolerance"), _NOTHING),
        ("empty", (*PROBE, "tolerance"), [5, 1]), ("type", (*PROBE, "tolerance"), {"type": "rage", "range": [1, 2]}),
        ("range", (*PROBE, "tolerance"), {"type": "range", "range": [9, 2]}), ("range", (*PROBE, "tolerance"), {"type": "range"}),
        ("regex", (*PROBE, "tolerance"), {"type": "regex"}), ("pattern", (*PROBE, "tolerance"), {"type": "regex", "pattern": "("}),
        ("smal", (*PROBE, "provider", "arguments", "edges"), ["smal"]), ("edges", (*PROBE, "provider", "arguments", "edges"), []),
        ("edges", (*PROBE, "provider", "arguments", "edges"), "small"), ("timeout", (*PROBE, "provider", "arguments", "timeout"), "1"),
        ("timeout", (*PROBE, "provider", "arguments", "timeout"), 1), ("action", (*PROBE, "type"), "action"),
        ("edges_opne", (*PROBE, "provider", "func"), "edges_opne"), ("name of another", (*PROBE, "name"), "shrink the first hop"),
        ("ghost", ("rollbacks", 0), {"ref": "ghost"}), ("ghost", ("method", 0), {"ref": "ghost"}),
        ("beside ref", ("rollbacks", 0), {"ref": "small requests", "name": "x"}), ("rollbacks", ("rollbacks", 0), EXPERIMENT["method"][0]),
        ("hypothesis", ("steady-state-hypothesis", "title"), ""), ("probes", ("steady-state-hypothesis", "probes"), "reach"),
        ("steady", ("steady-state-hypothesis",), []), ("extension", ("extensions",), [{"edges": {}}]), ("extensions", ("extensions",), {}),
        ("two blocks", ("extensions",), EXPERIMENT["extensions"] * 2), ("uplaod", (*BLOCK, "break"), ["uplaod"]),
        ("break", (*BLOCK, "break"), "upload"), ("break", (*BLOCK, "break"), [True]), ("break", (*BLOCK, "break"), ["upload", "upload"]),
        ("may", (*BLOCK, "may"), ["upload"]), ("expect", (*BLOCK, "expect"), "success"), ("expect", (*BLOCK, "expect"), True),
        ("lab", (*BLOCK, "lab"), "no/such/lab.yaml"), ("lab", (*BLOCK, "lab"), 5), ("lab", (*BLOCK, "lab"), "."),
        ("staging", (*BLOCK, "clusters"), ["test", "staging"]), ("clusters", (*BLOCK, "clusters"), "test"),
        ("edges", (*BLOCK, "edges"), []), ("edges", (*BLOCK, "edges"), {"small": None, "upload": None}),
        ("from", (*BLOCK, "edges", "small", "from"), "svc:prod/prod-ns/prod-svc"), ("from", (*BLOCK, "edges", "small", "from"), "nowhere/shop/client"),
        ("from", (*BLOCK, "edges", "small", "from"), _NOTHING), ("to", (*BLOCK, "edges", "small", "to"), "svc:prod/prod-ns/prod-scv"),
        ("to", (*BLOCK, "edges", "small", "to"), "ip:300.1.1.1"), ("to", (*BLOCK, "edges", "small", "to"), "service:prod/x"),
        ("port", (*BLOCK, "edges", "small", "port"), "http/8080"), ("port", (*BLOCK, "edges", "small", "port"), 99999),
        ("port", (*BLOCK, "edges", "small", "port"), "8080/htpp"), ("port", (*BLOCK, "edges", "small", "port"), None),
        ("send", (*BLOCK, "edges", "small", "send"), "3kB"), ("send", (*BLOCK, "edges", "small", "send"), -1),
        ("send", (*BLOCK, "edges", "small", "send"), True), ("by", (*BLOCK, "edges", "small", "by"), "dns"),
        ("query", (*BLOCK, "edges", "small", "query"), "a.b"), ("pods", (*BLOCK, "ceiling"), {"pods": "many"}),
        ("ceiling", (*BLOCK, "ceiling"), {"pod": 1}), ("interval", (*BLOCK, "watch"), {"interval": "fast"}),
        ("watch", (*BLOCK, "watch"), {"every": "1s"}), ("recover", (*BLOCK, "recover"), 30), ("seed", (*BLOCK, "seed"), "random"),
        ("fuse", ("configuration", "fuse"), {"type": "env", "key": "CHAOSNET_NOT_SET"}), ("key", ("configuration", "fuse"), {"type": "env"}),
        ("secrets", ("secrets",), "hunter2"), ("dry", ("dry",), True),
    ):  # fmt: skip
        yield piece, put(EXPERIMENT, steps, value)


def topologies() -> Iterator[tuple[str, dict[str, Any]]]:
    """Topologies that no lab can be made from."""
    test: Steps = ("clusters", "test")
    for piece, steps, value in (
        ("name", ("name",), "Two Clusters!"), ("name", ("name",), 5), ("name", ("name",), _NOTHING), ("clusters", ("clusters",), {}),
        ("mapping", ("clusters",), []), ("mapping", test, None), ("cni", (*test, "cni"), "weave"), ("asn", (*test, "asn"), "AS1"),
        ("asn", (*test, "asn"), 0), ("network", (*test, "network"), "192.168.10.0"), ("network", (*test, "network"), "192.168.10.5/24"),
        ("network", (*test, "network"), "fd00::/64"), ("network", (*test, "network"), 7), ("overlaps", (*test, "network"), "192.168.20.0/24"),
        ("services", (*test, "services"), "10.96.0.0/33"), ("services", (*test, "services"), _NOTHING), ("dns", (*test, "dns"), "10.96.0.10"),
        ("dns", (*test, "dns"), "ten"), ("domain", (*test, "domain"), "cluster..local"), ("router", (*test, "router"), "transit-prod"),
        ("router", (*test, "router"), _NOTHING), ("overlay", (*test, "overlay"), "geneve"), ("overlay", (*test, "overlay"), False),
        ("nodes", (*test, "nodes"), {}), ("nodes", (*test, "nodes"), ["test-1"]), ("pods", (*test, "nodes", "test-1", "pods"), "10.0.2.0/24"),
        ("pods", (*test, "nodes", "test-1"), {}), ("podz", (*test, "nodes", "test-1"), {"pods": "10.0.1.0/24", "podz": 1}),
        ("name", (*test, "nodes"), {"Test_1": {"pods": "10.0.1.0/24"}}), ("no/such/file", (*test, "manifests"), ["no/such/file.yaml"]),
        ("manifests", (*test, "manifests"), "file.yaml"), ("mtu", ("mtu", "pods"), 100), ("mtu", ("mtu", "underlay"), "big"),
        ("underly", ("mtu",), {"underly": 1550}), ("hold", ("bgp", "hold"), 9), ("hold", ("bgp", "hold"), "2s"),
        ("keepalive", ("bgp", "keepalive"), "30s"), ("hold", ("bgp", "hold"), "forever"), ("between", ("links", 0, "between"), ["transit-test"]),
        ("between", ("links", 0, "between"), ["transit-test", "transit-tset"]), ("network", ("links", 0, "network"), "192.168.10.0/30"),
        ("list", ("links",), {"a": "b"}), ("unknown field", ("link",), []), ("unknown field", (*test, "node"), {}),
    ):  # fmt: skip
        yield piece, put(TOPOLOGY, steps, value)


def manifests() -> Iterator[tuple[str, dict[str, Any]]]:
    """Manifests that no API server takes."""
    for piece, steps, value in (
        ("kind", ("kind",), _NOTHING), ("metadata", ("metadata",), None), ("name", ("metadata", "name"), "Web Server"),
        ("name", ("metadata", "name"), _NOTHING), ("labels", ("metadata", "labels"), ["app"]), ("app", ("metadata", "labels"), {"app": True}),
        ("replicas", ("spec", "replicas"), "two"), ("replicas", ("spec", "replicas"), -1), ("template", ("spec", "template"), None),
        ("namespace", ("metadata", "namespace"), "Shop/1"),
    ):  # fmt: skip
        yield piece, put(MANIFEST, steps, value)


TEXTS: tuple[tuple[str, str], ...] = (
    ("empty", ""), ("empty", "# nothing\n"), ("empty", "---\n"), ("documents", "title: a\n---\ntitle: b\n"), ("experiment", "just text\n"),
    ("experiment", "- a\n- b\n"), ("YAML", "title: [1, 2\n"), ("YAML", "title: 'a\n"), ("YAML", "a: b: c\n"), ("YAML", "\ttitle: a\n"),
    ("YAML", "title: !!python/object/apply:os.system ['true']\n"), ("YAML", "title: *nobody\n"), ("YAML", "@title: x\n"),
    ("twice", "title: a\ntitle: b\ndescription: c\nmethod: []\n"), ("boolean", "title: a\ndescription: c\nmethod: []\non: push\n"),
    ("boolean", "title: a\ndescription: c\nmethod: []\ntags: [no]\n"), ("boolean", "title: off\ndescription: c\nmethod: []\n"),
    ("alias", "title: a\ndescription: c\nmethod: &m [*m]\n"), ("YAML", "title: \x00\n"), ("YAML", "title: \x1b[31m\n"),
    ("YAML", '{"title": "a", "method": [}\n'), ("list or a mapping", "? [a]\n: b\n"),
    ("values", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
     "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"),
    ("nest", "a: " + "[" * 400 + "]" * 400 + "\n"), ("nest", "a: " + "{b: " * 300 + "1" + "}" * 300 + "\n"),
)  # fmt: skip

_ODD: tuple[Any, ...] = (None, True, False, 0, -1, 1.5, "", "x", "${nobody}", [], [None], {}, {"a": {}}, "\u202e", "a" * 5000, float("inf"))


def drawn(seed: int, count: int) -> Iterator[dict[str, Any]]:
    """``count`` documents in which one to three values or keys are not what they were.  Some may still be right."""
    random_ = random.Random(seed)
    for number in range(count):
        document = copy.deepcopy((EXPERIMENT, TOPOLOGY, MANIFEST)[number % 3])
        for _ in range(random_.randint(1, 3)):
            _spoil(document, random_)
        yield document


def _spoil(document: dict[str, Any], random_: random.Random) -> None:
    places: list[tuple[Any, Any]] = []
    waiting: list[Any] = [document]
    while waiting:
        here = waiting.pop()
        for key in list(here) if isinstance(here, dict) else range(len(here)):
            places.append((here, key))
            if isinstance(here[key], (dict, list)):
                waiting.append(here[key])
    here, key = random_.choice(places)
    moves: list[Callable[[], None]] = [lambda: here.__setitem__(key, copy.deepcopy(random_.choice(_ODD))), lambda: here.pop(key)]
    if isinstance(here, dict):
        moves.append(lambda: here.__setitem__(f"{key}s", here.pop(key)))
        moves.append(lambda: here.__setitem__(random_.choice(_ODD[:6]), here.pop(key)))
    random_.choice(moves)()
