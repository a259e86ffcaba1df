
"""Raw run records as the engine writes them, made by code so that thousands of samples need no file."""

from typing import Any

Raw = dict[str, Any]
Phase = tuple[float, float, str, float]

CLIENT, PROD = "test/shop/client", "svc:prod/prod-ns/prod-svc"
ENVIRONMENT = {
    "kernel": "6.1.0-18-amd64", "chaosnet": "0.1.0", "python": "3.11.7", "chaostoolkit": "1.19.0", "BIRD": "2.0.12",
    "nftables": "1.0.6", "topology": "two-clusters: test (cilium, 3 nodes), prod (calico, 3 nodes)",
    "pods": "11", "seed": "20260314",
}  # fmt: skip


def samples(phases: list[Phase], interval: float = 0.1, start: float = 0.0) -> list[list[Any]]:
    """Samples every ``interval`` seconds (or as long as an attempt takes) through the phases (from, to, state, ms)."""
    found: list[list[Any]] = []
    at = start
    while at < phases[-1][1]:
        until, state, ms = next((until, state, ms) for _, until, state, ms in phases if at < until)
        ms = min(ms, 1000 * (until - at))  # the last attempt of an outage succeeds when it ends
        found.append([round(at, 6), state, round(ms + (len(found) * 7 % 5) * 0.01, 3)])
        at += max(interval, ms / 1000)
    return found


def edge(name: str, phases: list[Phase], source: str = CLIENT, destination: str = PROD, port: int = 8080, **more: Any) -> Raw:
    """One edge whose before, during and after are its first, second and last phase."""
    changed = next((phase[0] for phase in phases if phase[2] != phases[0][2]), None)
    recovered = phases[-1][0] if changed is not None and phases[-1][2] == phases[0][2] else None
    return {
        "name": name, "source": source, "destination": destination, "protocol": "http", "port": port, "send": 0,
        "receive": 0, "declared": True, "expected": "hold", "before": phases[0][2],
        "during": phases[min(1, len(phases) - 1)][2], "after": phases[-1][2], "changed_at": changed,
        "recovered_at": recovered, "samples": samples(phases),
    } | more  # fmt: skip


def calm(end: float, ms: float = 0.4) -> list[Phase]:
    """Open all the time."""
    return [(0.0, end, "open", ms)]


def broken(start: float, end: float, over: float, state: str = "timed out", ms: float = 1000.0) -> list[Phase]:
    """Open, then ``state`` from ``start`` to ``end``, then open again until ``over``."""
    return [(0.0, start, "open", 0.5), (start, end, state, ms), (end, over, "open", 0.5)]


def peering(end: float) -> list[Raw]:
    """Nine BGP edges, as the wildcard of the black-hole experiment expands."""
    return [
        edge(f"peering[test-{a}→prod-{b}]", calm(end), f"node:test/test-{a}", f"node:prod/prod-{b}", 179, protocol="bgp")
        for a in (1, 2, 3) for b in (1, 2, 3)
    ]  # fmt: skip


def watched(end: float, number: int) -> list[Raw]:
    """Undeclared edges between workloads, all calm."""
    pairs = [("test/shop/client", "svc:test/shop/cart"), ("test/shop/cart", "svc:prod/prod-ns/orders"),
             ("prod/prod-ns/web", "svc:prod/prod-ns/db"), ("prod/prod-ns/orders", "svc:prod/prod-ns/db")]  # fmt: skip
    return [
        edge(f"{pairs[i % 4][0]}→{pairs[i % 4][1]}:{8080 + i // 4}", calm(end), *pairs[i % 4], 8080 + i // 4,
             protocol="tcp", declared=False)
        for i in range(number)
    ]  # fmt: skip


def events(*rows: tuple[float, str, Raw]) -> list[Raw]:
    """Events at their seconds, with the wall clock that belongs to them."""
    return [
        {"t": t, "wall": f"2026-03-14T09:26:{53 + t:09.6f}+00:00" if t < 7 else f"2026-03-14T09:27:{t - 7:09.6f}+00:00",
         "event": event, **fields}
        for t, event, fields in rows
    ]  # fmt: skip


def fault(**more: Any) -> Raw:
    """The first hop from test to prod shrunk to 1450 bytes, proven, held and undone."""
    return {
        "id": "k3v9x0q2mw", "kind": "shrink_mtu", "target": "lab", "at": ["node:test/test-1"],
        "settings": {"at": {"kind_": "Place", "kind": "hop", "name": "upload", "spot": "source-node", "endpoint": None},
                     "mtu": 1450, "icmp": "drop", "duration": 60.0, "scope": "route"},
        "changes": ["route MTU 1450 towards 10.1.1.0/24, 10.1.2.0/24, 10.1.3.0/24 and 1 more at node:test/test-1",
                    "drop egress ICMP fragmentation-needed to 10.0.1.7 at node:test/test-1"],
        "proven": True, "held": True,
        "effects": [
            {"name": "largest packet on the way", "ok": True,
             "sentence": "packets over 1450 bytes no longer pass from test/shop/client-0 to 10.1.2.5; before, 1500 did",
             "before": {"largest": 1500, "sizes_tried": 11, "icmp_heard": False},
             "figures": {"largest": 1450, "sizes_tried": 11, "icmp_heard": False}},
            {"name": "silence", "ok": True, "sentence": "no ICMP fragmentation-needed reached the sender",
             "before": {"packets": 0}, "figures": {"packets": 148}},
        ],
        "evidence": ["the route to 10.1.0.0/16 at node:test/test-1 reads: via 192.168.10.1 dev eth0 proto 199 mtu lock 1450",
                     "148 packets of 74,592 bytes matched the rules of ticket k3v9x0q2mw"],
        "counters": {"packets": 148, "bytes": 74592}, "collateral": [],
        "warnings": ["tcp_mtu_probing is 0 on test/shop/client-0: it will not find the smaller path by itself"],
        "established": "Live connections hang as soon as they send a full segment.",
        "fresh": "New connections open, answer small requests, and hang on large ones.",
        "fuse": "60 s: nftables set elements with a timeout, and a timer in the lab's keeper",
        "t_inject": 5.012345, "t_effect": 5.087, "t_detect": 6.102, "t_undo": 25.1, "t_recover": 25.43, "t_clean": 25.912,
        "residue": [],
        "undo": ["deleted the routes of protocol 199 towards 10.1.0.0/16 at node:test/test-1",
                 "deleted table inet chaosnet_k3v9x0q2mw at node:test/test-1"],
    } | more  # fmt: skip


def black_hole() -> Raw:
    """Pass: the MTU black hole of the first field report."""
    end = 31.2
    return {
        "verdict": "pass", "exit": 0,
        "experiment": {
            "title": "MTU black hole on the way to prod",
            "description": "The first hop from test to prod carries 1450 bytes and says nothing about it. "
                           "Health checks stay green; every request over 1410 bytes hangs.",
            "file": "experiments/incidents/mtu-black-hole.yaml", "tags": ["mtu", "cross-cluster"], "expect": "pass",
        },
        "run": "20260314-092653-mtu-black-hole", "started": "2026-03-14T09:26:53.589793+00:00", "duration": end,
        "target": {"name": "lab", "ref": "two-clusters-4411", "environment": dict(ENVIRONMENT)},
        "faults": [fault()],
        "hypothesis": {
            "title": "Health checks, answers, traffic inside prod and the peering go on",
            "before": True, "during": True, "after": True, "recovered": True,
            "probes": [{"name": "what must not notice", "before": True, "during": True, "after": True},
                       {"name": "share of requests that succeed", "before": 1.0, "during": 0.998, "after": 1.0}],
        },
        "findings": [
            {"outcome": "pass", "about": "effect", "sentence": "shrink_mtu at node:test/test-1 was measured 75 ms after injection and held until the undo."},
            {"outcome": "pass", "about": "scope", "sentence": "Of 45 watched edges only upload changed, as announced."},
            {"outcome": "pass", "about": "hypothesis", "sentence": "The hypothesis held before, during and after the fault."},
            {"outcome": "pass", "about": "recovery", "sentence": "All edges were as before 330 ms after the undo."},
            {"outcome": "pass", "about": "residue", "sentence": "Rules, routes, sysctls, qdiscs, MTUs, objects and daemons equal the snapshot from before."},
        ],
        "edges": [
            edge("upload", broken(5.1, 25.43, end), send=3000, expected="break"),
            edge("small", calm(end), send=100),
            edge("answer", calm(end, 0.9), receive=3000),
            edge("inside", calm(end), "prod/prod-ns/web", send=3000),
            *peering(end), *watched(end, 32),
        ],
        "events": events(
            (0.0, "run_started", {"file": "experiments/incidents/mtu-black-hole.yaml"}),
            (0.81, "baseline", {"edges": 45, "open": 45}), (4.2, "hypothesis", {"phase": "before", "held": True}),
            (5.001, "ticket_recorded", {"ticket": "k3v9x0q2mw"}), (5.004, "fuse_armed", {"ticket": "k3v9x0q2mw", "seconds": 60}),
            (5.012345, "injected", {"ticket": "k3v9x0q2mw"}), (5.087, "effect_proven", {"ticket": "k3v9x0q2mw"}),
            (6.102, "edge_changed", {"edge": "upload", "from": "open", "to": "timed out"}),
            (25.02, "hypothesis", {"phase": "during", "held": True}), (25.1, "undone", {"ticket": "k3v9x0q2mw"}),
            (25.43, "edge_recovered", {"edge": "upload"}), (25.912, "clean", {"ticket": "k3v9x0q2mw", "residue": []}),
            (30.9, "hypothesis", {"phase": "after", "held": True}), (31.2, "verdict", {"verdict": "pass", "exit": 0}),
        ),
        "learned": ["test/shop/client-0 had cached a path MTU of 1450 towards 10.1.2.5; flushed"],
        "how_to_rerun": "chaosnet run experiments/incidents/mtu-black-hole.yaml --target lab",
        "report": "chaosnet-runs/20260314-092653-mtu-black-hole",
    }  # fmt: skip


def collateral() -> Raw:
    """Fail: a partition that also cut what nobody announced."""
    end, raw = 22.0, black_hole()
    hit = "test/shop/cart→svc:prod/prod-ns/orders:8080"
    raw["experiment"] |= {"title": "prod loses its database port", "description": "A firewall rule meant for one port.",
                          "file": "experiments/incidents/prod-port.yaml", "tags": []}  # fmt: skip
    raw |= {
        "verdict": "fail", "exit": 1, "duration": end, "run": "20260314-092653-prod-port",
        "faults": [
            fault(kind="block_port", at=["node:prod/prod-2"], collateral=[hit, "small"], t_inject=4.01, t_effect=4.018,
                  t_detect=4.2, t_undo=14.02, t_recover=14.3, t_clean=14.6,
                  settings={"at": "node:prod/prod-2", "port": 5432, "duration": 45.0},
                  changes=["reject ingress tcp port 5432 at node:prod/prod-2"],
                  undo=["deleted table inet chaosnet_k3v9x0q2mw at node:prod/prod-2"], warnings=[],
                  effects=[{"name": "rule matched", "ok": True, "sentence": "3,204 packets met the rule; before, none",
                            "before": {"packets": 0}, "figures": {"packets": 3204}}],
                  evidence=[], counters={"packets": 3204, "bytes": 201448}),
            fault(id="z81hh2c0aa", kind="loss", at=["link:transit-test--transit-prod"], t_inject=6.0, t_effect=7.9,
                  t_detect=8.0, t_undo=14.0, t_recover=14.3, t_clean=14.6, settings={"loss": 0.3, "duration": 45.0},
                  changes=["drop 30% of egress packets at router:transit-test towards transit-prod"],
                  undo=["deleted table inet chaosnet_z81hh2c0aa at router:transit-test"], warnings=[], effects=[
                      {"name": "loss", "ok": True, "sentence": "29.4 % of 1,000 datagrams were lost; before, none",
                       "before": {"sent": 1000, "lost": 0.0}, "figures": {"sent": 1000, "lost": 0.294}}]),
        ],
        "findings": [
            {"outcome": "pass", "about": "effect", "sentence": "Both faults were measured within their deadlines and held."},
            {"outcome": "fail", "about": "scope", "sentence": f"{hit} was refused from 4.2 s on, though it is not among the edges that break or may change."},
            {"outcome": "fail", "about": "hypothesis", "sentence": "The hypothesis did not hold during the fault."},
        ],
        "hypothesis": {"title": "Customers can buy", "before": True, "during": False, "after": True, "recovered": True,
                       "probes": [{"name": "checkout answers", "before": True, "during": False, "after": True}]},
        "edges": [
            edge("database", broken(4.05, 14.3, end, "refused", 0.3), "prod/prod-ns/orders", "svc:prod/prod-ns/db", 5432, expected="break", protocol="tcp"),
            edge("small", [(0, 6.2, "open", 0.5), (6.2, 14.2, "degraded", 220.0), (14.2, end, "open", 0.5)], send=100),
            edge("answer", calm(end), receive=3000),
            edge("names", [(0, 8.0, "open", 0.5), (8.0, 9.1, "unresolved", 2.0), (9.1, end, "open", 0.5)], expected="may", port=53, protocol="dns"),
            edge(hit, broken(4.2, 14.3, end, "reset", 0.4), "test/shop/cart", "svc:prod/prod-ns/orders", declared=False),
            *watched(end, 12)[2:],
        ],
        "learned": [], "events": raw["events"][:7],
    }  # fmt: skip
    return raw


def unproven() -> Raw:
    """Inconclusive, and declared so: the one-sided BGP block that heals itself."""
    end, raw = 34.0, black_hole()
    raw["experiment"] |= {"title": "A one-sided block of BGP heals itself", "expect": "inconclusive",
                          "description": "Only destination port 179 is dropped; the other side dials, and the session is back.",
                          "file": "experiments/lessons/one-sided-bgp.yaml", "tags": ["bgp", "lesson"]}  # fmt: skip
    raw |= {
        "verdict": "inconclusive", "exit": 3, "duration": end,
        "faults": [fault(kind="block_bgp", at=["router:transit-test"], proven=True, held=False, t_inject=5.0, t_effect=13.1,
                         t_detect=13.2, t_undo=29.0, t_recover=29.0, t_clean=29.5,
                         effects=[{"name": "session down", "ok": False, "sentence": "the session with transit-prod is Established again; it was down from 13.1 s to 16.2 s",
                                   "before": {"state": "Established", "hold_time": 9}, "figures": {"state": "Established", "hold_time": 9}}])],
        "findings": [{"outcome": "inconclusive", "about": "effect", "sentence": "The session came back at 16.2 s with the rule still in place, so the fault's effect was lost before the undo."}],
        "edges": [edge("session", [(0, 13.1, "open", 0.2), (13.1, 16.2, "timed out", 1.0), (16.2, end, "open", 0.2)], "node:test/test-1", "node:prod/prod-1", 179, protocol="bgp", expected="break"),
                  edge("traffic", calm(end), send=100)],
    }  # fmt: skip
    return raw


def residue() -> Raw:
    """Fail with residue: one route could not be deleted."""
    raw = black_hole()
    left = "route 10.1.2.0/24 mtu lock 1450 proto 199 at node:test/test-1"
    raw |= {
        "verdict": "fail", "exit": 4,
        "faults": [fault(residue=[left], t_clean=None)],
        "findings": [{"outcome": "fail", "about": "residue", "sentence": f"Still there after the undo: {left}; remove it with chaosnet undo k3v9x0q2mw."}, *raw["findings"][:4]],
    }  # fmt: skip
    return raw


def aborted() -> Raw:
    """Inconclusive: killed three seconds after the injection; the supervisor undid it.  Much was never written."""
    raw = black_hole()
    cut = [edge("upload", [(0, 5.1, "open", 0.5), (5.1, 8.0, "timed out", 1000.0)], send=3000, expected="break", after="", recovered_at=None),
           edge("small", calm(8.0), send=100, after=""), edge("answer", [(0, 8.0, "open", 0.4)], after=None, samples=None)]  # fmt: skip
    return {
        "verdict": "inconclusive", "exit": 3, "experiment": raw["experiment"], "run": raw["run"], "started": raw["started"],
        "duration": 8.4, "target": {"name": "lab", "ref": "two-clusters-4411", "environment": {}},
        "faults": [fault(held=False, t_undo=8.31, t_recover=None, t_clean=None, undo=[], evidence=None, counters=None, effects=[])],
        "hypothesis": {"title": raw["hypothesis"]["title"], "before": True, "during": None, "after": None, "recovered": None, "probes": []},
        "findings": [{"outcome": "inconclusive", "about": "run", "sentence": "chaostoolkit's process was killed (signal 9) 3.3 s after the injection; the supervisor undid everything."}],
        "edges": cut, "events": raw["events"][:8], "learned": None, "how_to_rerun": raw["how_to_rerun"],
    }  # fmt: skip


NASTY = (
    "<script>document.title='owned'</script>",
    "\"><img src=x onerror=\"document.title='owned'\">",
    "</title></style></textarea><svg onload=document.title='owned'>",
    "' onmouseover='document.title=1' x='",
    "{{ 7*7 }}{% raw %}{# no",
    "]]><!-- --><![CDATA[",
    "| pipe | `tick` ``` [link](javascript:alert(1)) **bold** @everyone #1 <b>\n# heading\n```",
    "\u202egnp.exe\u2066 \u200f\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "nul\x00 esc\x1b[31mred bell\x07 \ud800lone",
    "&lt;&amp;&#60; javascript:alert(1)",
    "long-" + "n" * 10_000,
    "日本語のポッド名" * 12,
)


def hostile() -> Raw:
    """Every text is nasty somewhere."""
    raw = black_hole()
    end = 31.2
    raw["experiment"] |= {"title": NASTY[0] + NASTY[7], "description": " ".join(NASTY[:9]), "file": NASTY[1], "tags": list(NASTY)}
    raw |= {
        "verdict": "fail", "run": NASTY[1], "started": NASTY[0], "how_to_rerun": NASTY[2] + NASTY[6],
        "target": {"name": NASTY[0], "ref": NASTY[1], "environment": {name: name for name in NASTY}},
        "faults": [fault(kind=NASTY[0], at=list(NASTY), settings={name: name for name in NASTY}, changes=list(NASTY), undo=list(NASTY),
                         evidence=list(NASTY), warnings=list(NASTY), residue=list(NASTY), fuse=NASTY[2], established=NASTY[3], fresh=NASTY[4],
                         collateral=[NASTY[0], NASTY[5]],
                         effects=[{"name": name, "ok": True, "sentence": name, "before": name, "figures": {name: [name, {name: None}]}} for name in NASTY])],
        "findings": [{"outcome": name, "about": name, "sentence": name} for name in ("fail", *NASTY)],
        "hypothesis": {"title": NASTY[2], "before": True, "during": False, "after": None, "recovered": None,
                       "probes": [{"name": name, "before": name, "during": None, "after": {name: name}} for name in NASTY]},
        "edges": [edge(name, broken(5.1, 25.43, end, NASTY[i % 3] if i % 2 else "timed out"), name, name, expected=("break", "hold", "may", name)[i % 4],
                       declared=i % 3 > 0, protocol=name) for i, name in enumerate(NASTY)],
        "events": [{"t": float(i), "wall": name, "event": name, name: name} for i, name in enumerate(NASTY)],
        "learned": list(NASTY),
    }  # fmt: skip
    return raw


def crowd() -> Raw:
    """200 edges with 600 samples each; thirty of them flap all the time."""
    raw, end = black_hole(), 60.0
    flapping = [[round(i * 0.1, 6), ("open", "timed out", "reset")[i * 7 % 11 % 3], 0.4] for i in range(600)]
    raw["edges"] = [
        edge(f"team-{i % 20}/service-{i}→svc:prod/prod-ns/backend-{i}", broken(20.0, 40.0, end, ms=0.1) if i < 5 else calm(end, 0.1),
             expected="break" if i < 5 else "hold", declared=i < 40)
        for i in range(200)
    ]  # fmt: skip
    for each in raw["edges"][170:]:
        each |= {"samples": flapping, "before": "unknown", "during": "unknown", "after": "unknown", "changed_at": None}
    raw["duration"] = end
    raw["events"] = [{"t": i / 50, "wall": "2026-03-14T09:26:53+00:00", "event": "edge_changed", "edge": f"e{i}"} for i in range(3000)]
    return raw


RUNS = {
    "black_hole": black_hole, "collateral": collateral, "unproven": unproven, "residue": residue, "aborted": aborted,
    "hostile": hostile, "crowd": crowd,
}  # fmt: skip
