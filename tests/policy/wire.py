"""A small real network for tests of compiled rules, run as a child in namespaces of its own; it speaks JSON lines.

First line in: ``{"nodes": {name: {"address", "range", "pods": {name: address}}}, "tcp": [ports], "udp": [ports]}``.  Nodes sit on
one bridge, pods behind their node by a veth each, every pod listens on every port.  Then one command a line, one answer
each.  Nothing here knows a policy.
"""

import errno
import json
import os
import select
import socket
import subprocess
import sys
import time
from typing import Any

from chaosnet.targets.lab.namespaces import Namespaces


class Wire:
    def __init__(self, plan: dict[str, Any]) -> None:
        self.spaces = Namespaces()
        self.flows: list[tuple[socket.socket, socket.socket]] = []
        self.listeners: list[socket.socket] = []
        self.echoes: list[socket.socket] = []
        nodes = plan["nodes"]
        self.spaces.create("fabric", *nodes, *(pod for node in nodes.values() for pod in node["pods"]))
        self._ip("fabric", "link add br0 type bridge", "link set br0 up")
        for index, (name, node) in enumerate(nodes.items()):
            self._pair("fabric", f"f{index}", name, "up0")
            self._ip("fabric", f"link set f{index} master br0", f"link set f{index} up")
            self._ip(name, f"addr add {node['address']}/24 dev up0", "link set up0 up", "link set lo up")
            self.spaces.set_sysctl(name, "net.ipv4.ip_forward", "1")
            self.spaces.set_sysctl(name, "net.ipv4.ping_group_range", "0 0")
            for number, (pod, address) in enumerate(node["pods"].items()):
                self._pair(name, f"p{number}", pod, "eth0")
                self._ip(name, f"link set p{number} up", f"route add {address}/32 dev p{number}")
                self.spaces.set_sysctl(name, f"net.ipv4.conf.p{number}.proxy_arp", "1")
                # Else a proxied answer waits up to 0.8 s (arp(7), proxy_delay).
                self.spaces.set_sysctl(name, f"net.ipv4.neigh.p{number}.proxy_delay", "0")
                self._ip(pod, "link set lo up", f"addr add {address}/32 dev eth0", "link set eth0 up",
                         "route add 169.254.1.1 dev eth0", "route add default via 169.254.1.1")  # fmt: skip
                self.spaces.set_sysctl(pod, "net.ipv4.ping_group_range", "0 0")
                self._listen(pod, plan["tcp"], plan["udp"])
            # A proxy ARP answer needs a route to what is asked for.
            self._ip(name, "route add 169.254.1.1 dev lo")
        for name, node in nodes.items():
            others = [other for other in nodes.values() if other is not node]
            # A node's own packets to a Service need some route before they are translated.
            self._ip(
                name, "route add default dev up0", *(f"route add {other['range']} via {other['address']}" for other in others)
            )

    def _ip(self, space: str, *lines: str) -> None:
        with self.spaces.inside(space):
            subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)

    def _pair(self, here: str, name: str, there: str, far: str) -> None:
        path = f"/proc/{os.getpid()}/fd/{self.spaces.descriptor(there)}"
        self._ip(here, f"link add {name} type veth peer name {far} netns {path}")

    def _listen(self, pod: str, tcp: list[int], udp: list[int]) -> None:
        with self.spaces.inside(pod):
            for port in tcp:
                sock = socket.create_server(("0.0.0.0", port), backlog=256)
                sock.setblocking(False)
                self.listeners.append(sock)
            for port in udp:
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                sock.bind(("0.0.0.0", port))
                sock.setblocking(False)
                self.echoes.append(sock)

    def nft(self, space: str, text: str) -> None:
        self.spaces.nft(space).run(text)

    def listing(self, space: str, text: str) -> Any:
        return self.spaces.nft(space).list(text)

    def ip(self, space: str, line: str) -> None:
        self._ip(space, line)

    def probe(self, edges: list[list[Any]], wait: float) -> list[str]:
        """``[from, address, protocol, port]`` each → open, refused, or silence after ``wait`` seconds, all at once."""
        results = ["silence"] * len(edges)
        poller = select.epoll()
        open_: dict[int, tuple[int, str, socket.socket]] = {}
        for index, (source, address, protocol, port) in enumerate(edges):
            with self.spaces.inside(source):
                sock = self._socket(protocol)
            try:
                sock.connect_ex((address, port)) if protocol == "TCP" else self._send(sock, address, protocol, port)
            except OSError as error:
                results[index] = _failed(error.errno)
            mask = select.EPOLLOUT if protocol == "TCP" else select.EPOLLIN
            poller.register(sock, mask | select.EPOLLERR)
            open_[sock.fileno()] = (index, protocol, sock)
        for server in self.echoes:
            poller.register(server, select.EPOLLIN)
        servers = {server.fileno(): server for server in self.echoes}
        until = time.monotonic() + wait
        pending = len(edges)
        while pending and (left := until - time.monotonic()) > 0:
            for number, _ in poller.poll(left):
                if number in servers:
                    data, peer = servers[number].recvfrom(100)
                    servers[number].sendto(data, peer)
                    continue
                index, protocol, sock = open_[number]
                results[index] = self._result(sock, protocol)
                poller.unregister(number)
                pending -= 1
        poller.close()
        for _, _, sock in open_.values():
            sock.close()
        self._drain()
        return results

    def _drain(self) -> None:
        """Take what probes left in the listeners' queues: a full one would make the next attempt look like silence."""
        for server in self.listeners:
            while True:
                try:
                    server.accept()[0].close()
                except ConnectionAbortedError:
                    continue
                except BlockingIOError:
                    break

    @staticmethod
    def _socket(protocol: str) -> socket.socket:
        kind = socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM
        sock = socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP if protocol == "ICMP" else 0)
        sock.setblocking(False)
        if protocol == "TCP":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        return sock

    @staticmethod
    def _send(sock: socket.socket, address: str, protocol: str, port: int) -> None:
        sock.connect((address, port or 1))
        sock.send(b"\x08\0\0\0\0\0\0\x01hello" if protocol == "ICMP" else b"hello")

    @staticmethod
    def _result(sock: socket.socket, protocol: str) -> str:
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error or protocol == "TCP":
            return _failed(error) if error else "open"
        try:
            sock.recv(100)
        except OSError as failed:
            return _failed(failed.errno)
        return "open"

    def open(self, source: str, address: str, port: int) -> int:
        """A TCP connection that stays; its number."""
        with self.spaces.inside(source):
            near = socket.create_connection((address, port), timeout=5)
        near.settimeout(0.4)
        # The near end is connected a moment before the far end's last packet arrives.
        until = time.monotonic() + 5
        while (left := until - time.monotonic()) > 0:
            for server in select.select(self.listeners, [], [], left)[0]:
                try:
                    far, peer = server.accept()
                except (BlockingIOError, ConnectionAbortedError):
                    continue
                if peer == near.getsockname():
                    far.settimeout(0.4)
                    self.flows.append((near, far))
                    return len(self.flows) - 1
                far.close()
        raise RuntimeError("no listener got the connection")

    def peer(self, flow: int) -> str:
        """The address at which a live connection really arrived."""
        return str(self.flows[flow][1].getsockname()[0])

    def talk(self, flow: int) -> bool:
        """Whether the live connection still carries bytes there and back."""
        near, far = self.flows[flow]
        try:
            near.sendall(b"ping")
            if far.recv(4) != b"ping":
                return False
            far.sendall(b"pong")
            return near.recv(4) == b"pong"
        except OSError:
            return False

    def bulk(self, flow: int, size: int) -> bool:
        """Whether ``size`` bytes of answer get through a live connection within three seconds."""
        near, far = self.flows[flow]
        far.settimeout(3)
        near.settimeout(3)
        got = 0
        try:
            far.sendall(b"x" * size)
            while got < size:
                got += len(near.recv(65536))
        except OSError:
            return False
        return True

    def mtu(self, source: str, address: str, port: int, size: int) -> bool:
        """Whether a datagram with DF makes the source learn a smaller path MTU (it then refuses to send another)."""
        with self.spaces.inside(source):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
        sock.connect((address, port))
        until = time.monotonic() + 3
        while time.monotonic() < until:
            try:
                sock.send(b"x" * size)
            except OSError as error:
                if error.errno == errno.EMSGSIZE:
                    return True
            select.select([], [], [], 0.02)
        return False


def _failed(number: int | None) -> str:
    return "refused" if number == errno.ECONNREFUSED else errno.errorcode.get(number or 0, "?")


def main() -> None:
    wire = Wire(json.loads(sys.stdin.readline()))
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            answer = {"ok": getattr(wire, name)(*arguments)}
        except Exception as error:  # noqa: BLE001  (the parent raises it)
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
