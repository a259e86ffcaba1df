"""Nothing passes that should not: a fault replaced by nothing, a fault somewhere else, a second fault that nobody announced."""

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import ROOT, Ran, experiment, written

INCIDENTS = sorted((ROOT / "experiments").glob("incidents/*.yaml"))

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def hollow(runs: Callable[..., "Future[Ran]"]) -> dict[Path, "Future[Ran]"]:
    """Every incident with its fault replaced by nothing."""
    return {file: runs(file, "--placebo") for file in INCIDENTS}


@pytest.mark.requires("haproxy")
@pytest.mark.parametrize("file", INCIDENTS, ids=lambda file: file.stem)
def test_a_fault_replaced_by_nothing_is_inconclusive(file: Path, hollow: dict[Path, "Future[Ran]"]) -> None:
    ran = hollow[file].result()
    assert ran.exit == 3, ran.told
    assert any("was not proven" in sentence for sentence in ran.findings("inconclusive"))
    assert not ran.findings("fail")


def _fault(document: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    document["method"][0]["provider"]["arguments"].update(arguments)
    return document


WRONG = {
    "mtu-black-hole": {"at": "hop:inside/source-node"},
    "prod-loses-test": {"source": "prod/kube-system/*"},
    "dns-down": {"at": "svc:prod/kube-system/kube-dns"},
    "stale-endpoints": {"at": "svc:prod/prod-ns/orders"},
    "node-down": {"at": "node:prod/prod-2"},
    "conntrack-exhaustion": {"at": "node:test/test-3"},
}


@pytest.fixture(scope="module")
def elsewhere(
    runs: Callable[..., "Future[Ran]"], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, "Future[Ran]"]:
    """Incidents with their fault on a wrong edge."""
    folder = tmp_path_factory.mktemp("elsewhere")
    return {name: runs(written(_fault(experiment(name), **other), folder, name)) for name, other in WRONG.items()}


@pytest.mark.parametrize("name", WRONG)
def test_a_fault_on_a_wrong_edge_never_passes(name: str, elsewhere: dict[str, "Future[Ran]"]) -> None:
    ran = elsewhere[name].result()
    assert ran.exit in (1, 2, 3), ran.told
    assert ran.record is None or ran.record["verdict"] != "pass"


def test_an_unannounced_second_fault_is_collateral(runs: Callable[..., "Future[Ran]"], tmp_path: Path) -> None:
    document = experiment("mtu-black-hole")
    second = {
        "type": "action",
        "name": "what nobody announced",
        "provider": {
            "type": "python",
            "module": "chaosnet.faults.partition",
            "func": "partition",
            "arguments": {"source": "prod/prod-ns/orders", "destination": "prod/prod-ns/db", "duration": "60s"},
        },
    }
    document["method"].insert(0, second)
    ran = runs(written(document, tmp_path, "two-faults")).result()
    assert ran.exit == 1, ran.told
    assert any("collateral" in sentence and "db" in sentence for sentence in ran.findings("fail"))


def test_a_baseline_that_is_not_met_injects_nothing(runs: Callable[..., "Future[Ran]"], tmp_path: Path) -> None:
    document = experiment("mtu-black-hole")
    block = document["extensions"][0]
    block["edges"]["shut_already"] = {"from": "prod/prod-ns/web", "to": "svc:prod/prod-ns/db", "port": 5432}
    ran = runs(written(document, tmp_path, "no-baseline")).result()
    assert ran.exit == 3, ran.told
    assert ran.record is not None
    assert ran.record["faults"] == []
    assert any("nothing was injected" in sentence for sentence in ran.findings("inconclusive"))
