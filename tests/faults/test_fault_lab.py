"""Every fault through the engine on a real lab: proven on the wire, held until undo, and nothing of it left.

One lab for all, so each test also shows that the one before it cleaned up.  What needs netem is
tried in tests/vm.
"""

from collections.abc import Callable
from typing import Any

import pytest

from chaosnet.engine import inject as injection
from chaosnet.engine.faultrun import FaultRun
from chaosnet.errors import NotProven
from chaosnet.model.fault import Fault

pytestmark = [pytest.mark.lab, pytest.mark.slow]

DENY = {"spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}
# Module, door, arguments; whether its effect must be proven (lessons are not).
CASES: list[tuple[str, str, dict[str, Any], bool]] = [
    ("mtu", "shrink_mtu", {"at": "hop:upload/source-node", "mtu": "1450", "icmp": "drop"}, True),
    ("mtu", "shrink_mtu", {"at": "hop:upload/source-node", "mtu": "1450"}, True),
    ("mtu", "shrink_mtu", {"at": "test/shop/client", "mtu": "1400"}, True),
    ("mtu", "shrink_mtu", {"at": "link:transit-test--transit-prod", "mtu": "1400", "icmp": "drop"}, True),
    ("partition", "partition", {"source": "prod/prod-ns/*", "destination": "test/*/*", "direction": "from"}, True),
    ("partition", "partition", {"source": "test/shop/client", "destination": "svc:prod/prod-ns/prod-svc", "how": "reject"}, True),
    (
        "partition",
        "partition",
        {"source": "test/shop/client", "destination": "prod/prod-ns/orders", "at": "transit:transit-prod", "port": "8080"},
        True,
    ),
    ("loss", "loss", {"at": "link:transit-test--transit-prod", "share": "30%", "direction": "both"}, True),
    ("loss", "loss", {"at": "test/shop/client", "share": "40%", "port": "8080"}, True),
    ("bandwidth", "bandwidth", {"at": "hop:upload/source-node", "rate": "10mbit"}, True),
    ("bgp", "block_bgp", {"at": "node:test/test-1"}, True),
    ("bgp", "block_bgp", {"at": "transit:transit-test", "peer": "node:prod/transit-prod", "how": "reject"}, True),
    ("bgp", "block_bgp", {"at": "node:test/test-1", "placement": "after-established"}, False),
    ("policy", "change_policy", {"at": "prod/prod-ns/deny", "action": "apply", "manifest": DENY, "edges": ["upload"]}, True),
    ("policy", "change_policy", {"at": "prod/prod-ns/db-only-from-orders", "action": "remove", "edges": ["spy"]}, True),
    ("labels", "drift_labels", {"at": "prod/prod-ns/db", "labels": "tier=storage", "edges": ["spy"]}, True),
    ("move", "move_pod", {"at": "test/shop/client", "node": "node:test/test-3"}, True),
    ("enforcement", "stop_enforcement", {"at": "node:prod/prod-3", "edges": ["spy"]}, True),
    ("service", "break_service", {"at": "svc:prod/prod-ns/prod-svc", "mode": "stale"}, True),
    ("service", "break_service", {"at": "svc:prod/prod-ns/prod-svc", "mode": "missing"}, True),
    ("service", "break_service", {"at": "svc:prod/prod-ns/prod-svc", "mode": "late"}, True),
    ("service", "break_service", {"at": "svc:prod/prod-ns/prod-svc", "mode": "rules-missing"}, True),
    ("snat", "tamper_snat", {"at": "node:test/test-1"}, True),
    ("snat", "tamper_snat", {"at": "hop:upload/source-node", "source": "192.0.2.1"}, True),
    ("conntrack", "exhaust_conntrack", {"at": "node:test/test-1", "limit": "30"}, True),
    ("dns", "break_dns", {"at": "svc:test/kube-system/kube-dns", "mode": "down"}, True),
    ("dns", "break_dns", {"at": "svc:test/kube-system/kube-dns", "mode": "slow", "delay": "1s"}, True),
    ("dns", "break_dns", {"at": "svc:test/kube-system/kube-dns", "mode": "nxdomain", "names": "cross-cluster"}, True),
    ("port", "block_port", {"at": "node:prod/prod-2", "port": "8080"}, True),
    ("node", "stop_node", {"at": "node:prod/prod-3"}, True),
    ("daemon", "stop_daemon", {"at": "node:test/test-1", "daemon": "bird"}, True),
    ("daemon", "stop_daemon", {"at": "node:test/test-1", "daemon": "kube-proxy"}, True),
    ("daemon", "stop_daemon", {"at": "node:test/test-1", "daemon": "cni"}, True),
]


@pytest.mark.parametrize(
    ("module", "function", "arguments", "proven"), CASES, ids=[f"{c[1]}-{'-'.join(map(str, c[2].values()))}"[:70] for c in CASES]
)
def test_on_the_wire(
    module: str,
    function: str,
    arguments: dict[str, Any],
    proven: bool,
    door: Callable[..., Fault],
    bench: injection.Setting,
    prove: Callable[[Fault], FaultRun],
) -> None:
    fault = door(module, function, **arguments)
    if proven:
        assert all(proof.reading and proof.reading.sentence for proof in prove(fault).proofs)
    else:
        with pytest.raises(NotProven):
            injection.inject(bench, fault)
