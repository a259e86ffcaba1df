"""Which pods run a reverse proxy, and that a real HAProxy takes the file."""

import shutil
import subprocess
from pathlib import Path

import pytest

from chaosnet.errors import InputError
from chaosnet.lab import controllers, proxies, topology
from chaosnet.lab.furnish import furnish
from chaosnet.lab.objects import Store
from chaosnet.model.change import Object

LAB = Path(__file__).parents[2] / "experiments" / "labs" / "mixed-cni.yaml"


@pytest.fixture
def store() -> Store:
    return furnish(topology.load(LAB))


def test_the_annotated_pods_have_a_proxy_in_front_of_their_service(store: Store) -> None:
    found = proxies.configurations(store)
    assert set(found) == {"mixed/ingress/proxy-0", "mixed/ingress/proxy-b-0"}
    assert "server service 10.98.1.10:8080\n" in found["mixed/ingress/proxy-0"]
    assert "server service 10.98.1.11:8080\n" in found["mixed/ingress/proxy-b-0"]


def test_a_moved_pod_has_another_file(store: Store) -> None:
    before = proxies.configurations(store)["mixed/ingress/proxy-0"]
    store.make(Object("mixed", "patch", "Pod", "ingress", "proxy-0", '{"spec": {"nodeName": "kubenet-1"}}'))
    controllers.run(store, "mixed")
    after = proxies.configurations(store)["mixed/ingress/proxy-0"]
    assert "bind 10.242.2." in before
    assert "bind 10.242.3." in after


@pytest.mark.parametrize("service", ["merchants/nobody:80", "merchants:80", "merchants/merchant-a:0", 'x/y"; evil:80'])
def test_a_proxy_in_front_of_nothing_is_refused(store: Store, service: str) -> None:
    with pytest.raises(InputError):
        store.patch("mixed", "Pod", "ingress", "proxy-0", {"metadata": {"annotations": {"chaosnet.io/proxy": service}}})
        proxies.configurations(store)


def test_haproxy_takes_the_file(store: Store, tmp_path: Path) -> None:
    if shutil.which("haproxy") is None:
        pytest.skip("this machine has no haproxy")
    for number, text in enumerate(proxies.configurations(store).values()):
        file = tmp_path / f"{number}.cfg"
        file.write_text(text)
        done = subprocess.run(["haproxy", "-c", "-f", str(file)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "warning" not in done.stderr.lower(), done.stderr
