"""Labs for tests: one that a module shares and leaves as it was, and a way to start others.

State folders are of the tests' own; labs end with the test process, whatever happens.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaosnet.targets.lab.client import LabTarget

SMALL = """\
name: NAME
bgp: {hold: 3s, keepalive: 1s, retry: 1s}
clusters:
  west:
    cni: cilium
    asn: 64512
    network: 192.168.10.0/24
    services: 10.97.0.0/16
    dns: 10.97.0.10
    router: r-west
    overlay: OVERLAY
    nodes: {w-1: {pods: 10.0.1.0/24}, w-2: {pods: 10.0.2.0/24}}
    manifests: [west.yaml]
  east:
    cni: calico
    asn: 64513
    network: 192.168.20.0/24
    services: 10.96.0.0/16
    dns: 10.96.0.10
    router: r-east
    nodes: {e-1: {pods: 10.1.1.0/24}, e-2: {pods: 10.1.2.0/24}}
    manifests: [east.yaml]
routers: {middle: {asn: 65000}}
links:
  - {between: [r-west, middle], network: 192.168.100.0/30}
  - {between: [middle, r-east], network: 192.168.100.4/30}
"""


def _workload(name: str, namespace: str, replicas: int, port: int, protocol: str = "TCP") -> str:
    kind = "http" if port == 8080 else "p"
    return f"""---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: c, image: x, ports: [{{name: {kind}, containerPort: {port}, protocol: {protocol}}}]}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  ADDRESS
  selector: {{app: {name}}}
  ports: [{{name: {kind}, port: {port}, protocol: {protocol}, targetPort: {kind}}}]
"""


def write_lab(folder: Path, name: str = "small", overlay: str = "none") -> Path:
    """A topology of two clusters and three routers, with a handful of pods; its file."""
    folder.mkdir(parents=True, exist_ok=True)
    dns = _workload("kube-dns", "kube-system", 1, 53, "UDP")
    web = _workload("web", "apps", 2, 8080).replace("ADDRESS", "clusterIP: ''")
    (folder / "west.yaml").write_text(dns.replace("ADDRESS", "clusterIP: 10.97.0.10") + web)
    (folder / "east.yaml").write_text(dns.replace("ADDRESS", "clusterIP: 10.96.0.10") + web)
    path = folder / f"{name}.yaml"
    path.write_text(SMALL.replace("NAME", name).replace("OVERLAY", overlay))
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The file of a small topology."""
    return write_lab(tmp_path / "topology")


@pytest.fixture
def wrapped(tmp_path: Path) -> Path:
    """The file of a small topology whose western cluster has a VXLAN overlay."""
    return write_lab(tmp_path / "wrapped", "wrapped", "vxlan")


@pytest.fixture
def start(small: Path) -> Iterator[Callable[..., LabTarget]]:
    """Starts labs that end with the test; by default the small one."""
    from chaosnet.targets import lab

    opened: list[LabTarget] = []

    def begin(path: Path | None = None) -> LabTarget:
        opened.append(lab.open_lab(str(path or small)))
        return opened[-1]

    yield begin
    for target in opened:
        target.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabTarget]:
    """A settled small lab for all tests of a module; each leaves it as it was."""
    from chaosnet.targets import lab

    home = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(home / "state"))
        target = lab.open_lab(str(write_lab(home)))
    try:
        target.settle(30.0)
        yield target
    finally:
        target.close()


@pytest.fixture
def as_nobody(tmp_path: Path) -> Iterator[Callable[[list[str]], list[str]]]:
    """Turns arguments for python into a command that runs them as an ordinary user; ours, where we are one."""
    if os.geteuid() != 0:
        yield lambda arguments: [sys.executable, *arguments]
        return
    # A python that everybody may run: the tests' own may lie in root's home.
    python = next(
        p for p in (f"/usr/bin/python3.{sys.version_info.minor}", "/usr/bin/python3", sys.executable) if shutil.which(p)
    )
    home = Path("/tmp") / f"chaosnet-test-{os.getpid()}"
    home.mkdir(mode=0o755)
    os.chown(home, 65534, 65534)
    code = Path(__file__).parent.parent.parent
    packages = [path for path in sys.path if path.endswith("-packages")]

    def command(arguments: list[str]) -> list[str]:
        variables = {
            "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": ":".join([str(code), *packages]), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        }  # fmt: skip
        settings = [f"{key}={value}" for key, value in variables.items()]
        return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "-i", *settings, python, *arguments]

    reads = subprocess.run(command(["-c", "import chaosnet, pyroute2"]), capture_output=True, check=False)
    if reads.returncode != 0:
        shutil.rmtree(home, ignore_errors=True)
        pytest.skip("this machine has no checkout that users other than root can read")
    yield command
    shutil.rmtree(home, ignore_errors=True)
