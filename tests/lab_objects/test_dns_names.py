"""DNS data: which names, which addresses, in a form that a real dnsmasq takes and answers."""

import shutil
import subprocess
from pathlib import Path

import pytest

from chaosnet.errors import InputError
from chaosnet.lab import controllers, dns, placement
from chaosnet.lab.objects import Store


def store() -> Store:
    made = Store()
    for cluster, services in (("a", "10.96.0.0/16"), ("b", "10.97.0.0/16")):
        made.apply(cluster, placement.node_manifest("n", "192.0.2.1", "10.0.0.0/24", "calico"))
        made.apply(cluster, placement.range_manifest(services))
        template = {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "c"}]}}
        spec = {"replicas": 2, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}}, "template": template}
        made.apply(
            cluster, {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "x"}, "spec": spec}
        )
        for name, extra in (("db", {"clusterIP": "None"}), ("front", {"clusterIP": services.replace("0.0/16", "0.9")})):
            body = {"selector": {"app": "db"}, "ports": [{"port": 80}]} | extra
            made.apply(
                cluster, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "x"}, "spec": body}
            )
        controllers.run(made, cluster)
    return made


def test_names_of_ones_own_cluster_and_of_the_set() -> None:
    assert set(dns.records(store(), "a", "example.org")) == {
        ("db.x.svc.example.org", "10.0.0.2"), ("db.x.svc.example.org", "10.0.0.3"),
        ("db-0.db.x.svc.example.org", "10.0.0.2"), ("db-1.db.x.svc.example.org", "10.0.0.3"),
        ("front.x.svc.example.org", "10.96.0.9"),
        ("db.x.svc.a.clusterset.local", "10.0.0.2"), ("db.x.svc.a.clusterset.local", "10.0.0.3"),
        ("db-0.db.x.svc.a.clusterset.local", "10.0.0.2"), ("db-1.db.x.svc.a.clusterset.local", "10.0.0.3"),
        ("front.x.svc.a.clusterset.local", "10.96.0.9"),
        ("db.x.svc.b.clusterset.local", "10.0.0.2"), ("db.x.svc.b.clusterset.local", "10.0.0.3"),
        ("db-0.db.x.svc.b.clusterset.local", "10.0.0.2"), ("db-1.db.x.svc.b.clusterset.local", "10.0.0.3"),
        ("front.x.svc.b.clusterset.local", "10.97.0.9"),
    }  # fmt: skip


def test_a_headless_service_names_ready_pods_only() -> None:
    made = store()
    made.patch("a", "Pod", "x", "db-0", {"status": {"conditions": [{"type": "Ready", "status": "False"}]}})
    controllers.run(made, "a")
    found = dict(dns.records(made, "a"))
    assert found["db.x.svc.cluster.local"] == "10.0.0.3"
    assert "db-0.db.x.svc.cluster.local" not in found


@pytest.mark.parametrize("name", ["a b", "a\n10.0.0.1 evil", "-a", "a..b", "A", "x" * 64, "a#b", "*", "", "a." * 130 + "a"])
def test_only_names_get_into_the_text(name: str) -> None:
    with pytest.raises(InputError, match="not be a DNS name"):
        dns.hosts([(name, "10.0.0.1")])
    with pytest.raises(InputError, match="not be a DNS name"):
        dns.settings({"a": name})


def test_dnsmasq_takes_the_settings(tmp_path: Path) -> None:
    if shutil.which("dnsmasq") is None:
        pytest.skip("this machine has no dnsmasq")
    file = tmp_path / "dnsmasq.conf"
    file.write_text(dns.settings({"a": "cluster.local", "b": "other.example"}))
    done = subprocess.run(["dnsmasq", "--test", f"--conf-file={file}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
