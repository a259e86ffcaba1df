"""From ``do`` to the first packet that feels it, and from ``undo`` to the first that does not, by kind of change.

    python -m bench.inject [COUNT] [KIND...]

In the default lab, with its daemons, a process in a pod sends a datagram every millisecond to a pod on another node and notes
when; another notes which arrived.  Each injection begins at a random moment; what is reported is the sending time of the first
datagram lost (or, after the undo, not lost) less the moment before the call: so at best half a millisecond.  Where the machine
gave the sender no time, so that datagrams were more than 2 ms apart meanwhile, the figure would be the machine's and not ours:
those are left out, and counted as ``disturbed``; ``..._all_ms`` has them too.

1,000 injections of the rule, a fifth as many of the others.
"""

import asyncio
import json
import mmap
import os
import random
import signal
import socket
import struct
import sys
import time
from contextlib import suppress

from chaosnet.lab import furnish, topology
from chaosnet.model.change import Change, Filter, LinkMtu, Match, Object, RouteMtu, Shape, Sysctl
from chaosnet.model.endpoint import parse_endpoint
from chaosnet.model.inventory import Site, find
from chaosnet.shipped import default_lab
from chaosnet.targets.lab.executor import Executor
from chaosnet.targets.lab.isolation import isolate
from chaosnet.targets.lab.lab import Lab
from chaosnet.targets.lab.namespaces import site_namespace
from chaosnet.targets.lab.percentiles import percentile

_PORT, _MOST = 7999, 2_000_000
_SIZE = 1472
_DENY = {
    "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "bench", "namespace": "shop"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}  # fmt: skip


class Stream:
    """The stream: ``sent[n]`` and ``got[n]`` are monotonic seconds, 0 where it has not happened."""

    def __init__(self, lab: Lab, source: Site, destination: Site) -> None:
        self.sent = memoryview(mmap.mmap(-1, 8 * _MOST)).cast("d")
        self.got = memoryview(mmap.mmap(-1, 8 * _MOST)).cast("d")
        self._children = []
        with lab.namespaces.inside(site_namespace(destination)):
            there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            there.bind((destination.addresses[0], _PORT))
        with lab.namespaces.inside(site_namespace(source)):
            out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            out.setsockopt(socket.IPPROTO_IP, 10, 3)  # IP_MTU_DISCOVER, IP_PMTUDISC_PROBE: never fragment, believe no ICMP
        to = (destination.addresses[0], _PORT)
        for work in (lambda: self._receive(there), lambda: self._send(out, to)):
            child = os.fork()
            if child == 0:
                try:
                    work()
                finally:
                    os._exit(0)
            self._children.append(child)

    def _send(self, out: socket.socket, to: tuple[str, int]) -> None:
        due = time.monotonic()
        for number in range(1, _MOST):
            due += 0.001
            time.sleep(max(0.0, due - time.monotonic()))
            self.sent[number] = time.monotonic()
            with suppress(OSError):
                out.sendto(struct.pack("=Q", number) + bytes(_SIZE - 8), to)

    def _receive(self, there: socket.socket) -> None:
        while True:
            (number,) = struct.unpack_from("=Q", there.recv(_SIZE))
            self.got[number] = time.monotonic()

    def last(self, hint: int) -> int:
        """The number of the last datagram sent, looked for from ``hint`` on."""
        while self.sent[hint + 1]:
            hint += 1
        return hint

    async def first(self, since: float, hint: int, arrived: bool) -> tuple[float, int]:
        """Sending time of the first datagram since then that arrived, or did not; and a hint for the next call."""
        deadline = time.monotonic() + 5
        number = hint
        while time.monotonic() < deadline:
            await asyncio.sleep(0.003)
            # What was sent less than 3 ms ago may still be on its way.
            while self.sent[number] and self.sent[number] < time.monotonic() - 0.003:
                if self.sent[number] >= since and bool(self.got[number]) == arrived:
                    return self.sent[number], number
                number += 1
        raise SystemExit("the stream did not change within 5 s of a change")

    def steady(self, since: float, number: int) -> bool:
        """Whether datagrams left at most 2 ms apart from before ``since`` up to this one."""
        while self.sent[number] >= since:
            if self.sent[number] - self.sent[number - 1] > 0.002:
                return False
            number -= 1
        return True

    def close(self) -> None:
        """End both processes."""
        for child in self._children:
            os.kill(child, signal.SIGKILL)


async def _measure(count: int, kinds: list[str]) -> dict[str, dict[str, float]]:
    plan = topology.load(default_lab())
    lab = Lab(plan, furnish.furnish(plan))
    asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, lab.processes.reap)
    lab.bring_up()
    fresh = asyncio.create_task(lab.routing.keep_fresh())
    while lab.unsettled():
        await asyncio.sleep(0.1)
    executor, inventory = Executor(lab), lab.inventory()
    source = find(inventory, parse_endpoint("test/shop/client", ""))[0]
    destination = next(s for s in find(inventory, parse_endpoint("test/shop/cart", "")) if s.node != source.node)
    node = next(Site("node", n.cluster, "", n.name, n.name, n.addresses) for n in inventory.nodes if n.name == source.node)
    towards = destination.addresses
    changes: dict[str, Change] = {
        "Filter": Filter(node, "egress", Match(source.addresses, towards)),
        "Shape": Shape(node, "egress", Match(source.addresses, towards), rate=8000),
        "LinkMtu": LinkMtu(node, 1400),
        "RouteMtu": RouteMtu(node, towards, 1400),
        "Sysctl": Sysctl(node, "net.ipv4.ip_forward", "0"),
        "Object": Object("test", "apply", "NetworkPolicy", "shop", "bench", json.dumps(_DENY)),
    }
    before = executor.snapshot()
    stream = Stream(lab, source, destination)
    await asyncio.sleep(0.3)
    found = {}
    for kind in kinds or list(changes):
        there: list[tuple[float, bool]] = []
        back: list[tuple[float, bool]] = []
        hint = 1
        for number in range(count if kind == "Filter" else count // 5):
            ticket = f"{number:010d}"
            undo = executor.prepare(ticket, changes[kind])
            executor.arm(ticket, [undo], 30)
            await asyncio.sleep(random.uniform(0.002, 0.004))
            hint = stream.last(hint)
            began = time.monotonic()
            executor.do(ticket, changes[kind], undo)
            felt, hint = await stream.first(began, hint, arrived=False)
            there.append((felt - began, stream.steady(began, hint)))
            began = time.monotonic()
            executor.undo(ticket, [undo])
            felt, hint = await stream.first(began, hint, arrived=True)
            back.append((felt - began, stream.steady(began, hint)))
            executor._tickets.clear()
        found[kind] = {"injections": len(there), **_figures("do", there), **_figures("undo", back)}
    stream.close()
    fresh.cancel()
    after = executor.snapshot()
    if after != before or executor.owned():
        raise SystemExit(f"something was left behind: {[key for key in before if before[key] != after.get(key)]}")
    return found


def _figures(name: str, latencies: list[tuple[float, bool]]) -> dict[str, float]:
    """Percentiles of seconds, in milliseconds; pairs with whether the stream was steady."""
    every = sorted(seconds * 1000 for seconds, _ in latencies)
    steady = sorted(seconds * 1000 for seconds, undisturbed in latencies if undisturbed)
    return {
        f"{name}_p50_ms": percentile(steady, 0.50), f"{name}_p99_ms": percentile(steady, 0.99),
        f"{name}_p99_all_ms": percentile(every, 0.99), f"{name}_disturbed": len(every) - len(steady),
    }  # fmt: skip


def main() -> None:
    """Measure, print one JSON document."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    kinds = sys.argv[2:]

    def born(child: int) -> None:
        _, status = os.waitpid(child, 0)
        if status:
            os._exit(1)

    isolate(born)
    found = asyncio.run(_measure(count, kinds))
    print(json.dumps({kind: {key: round(value, 3) for key, value in figures.items()} for kind, figures in found.items()}))


if __name__ == "__main__":
    main()
