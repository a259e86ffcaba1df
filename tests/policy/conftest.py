"""A real network of three nodes and six pods for compiled rules, kept for all tests of this folder."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NODES = {
    "n1": {"address": "192.168.7.1", "range": "10.7.1.0/24", "pods": {"x/a": "10.7.1.2", "y/a": "10.7.1.3"}},
    "n2": {"address": "192.168.7.2", "range": "10.7.2.0/24", "pods": {"x/b": "10.7.2.2", "y/b": "10.7.2.3"}},
    "n3": {"address": "192.168.7.3", "range": "10.7.3.0/24", "pods": {"x/c": "10.7.3.2", "y/c": "10.7.3.3"}},
}
TCP, UDP = [80, 81, 5000], [80]


class Child:
    """The network in its own namespaces; every method of ``wire.Wire`` can be called on it."""

    def __init__(self) -> None:
        argv = [
            "unshare",
            "--user",
            "--map-root-user",
            "--net",
            "--mount",
            sys.executable,
            str(Path(__file__).with_name("wire.py")),
        ]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._say({"nodes": NODES, "tcp": TCP, "udp": UDP})

    def _say(self, value: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the network's process ended"
        return json.loads(line)

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            answer = self._say([name, *arguments])
            assert "error" not in answer, answer
            return answer["ok"]

        return call

    def close(self) -> None:
        """End the process; the kernel removes everything."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@pytest.fixture(scope="session")
def child() -> Iterator[Child]:
    """The network, once for all tests."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("this machine has no unshare (util-linux) or no ip (iproute2)")
    if subprocess.run(["unshare", "--user", "--map-root-user", "--net", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine has no user namespaces for this user")
    network = Child()
    yield network
    network.close()


# A namespace tracks connections only while a rule in it asks for that; in a lab the Services' rules always do.
TRACKED = "table inet base { chain f { type filter hook forward priority 300; ct state new accept; }; }"


@pytest.fixture
def wire(child: Child) -> Child:
    """The network with no rules of any earlier test in it."""
    for node in NODES:
        child.nft(node, "flush ruleset")
        child.nft(node, TRACKED)
    return child
