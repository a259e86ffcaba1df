"""The keeper: one process that is init of a lab's namespaces and holds everything in it.

``python -m chaosnet.targets.lab.keeper``, started by :mod:`chaosnet.targets.lab.spawn` with one JSON argument.  It says on
descriptor ``ready`` when the lab is up, or why it is not; and it ends when its owner's pipe closes, on SIGTERM, or when told.
What it does meanwhile is :mod:`chaosnet.targets.lab.desk`.
"""

import asyncio
import gc
import json
import logging
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaosnet.errors import TargetError, Unsupported
from chaosnet.lab import topology as topologies
from chaosnet.lab.furnish import furnish
from chaosnet.lab.objects import Store
from chaosnet.lab.topology import Topology
from chaosnet.model.verdict import EXIT_INTERNAL
from chaosnet.targets.lab.isolation import isolate
from chaosnet.targets.lab.running import Claim, Running, claim

_NEEDED = ("bird", "dnsmasq")


@dataclass(frozen=True, slots=True)
class Order:
    """What to keep.  ``ready`` and ``owner`` are descriptors: where to report, and the pipe whose end ends the lab (-1: none)."""

    name: str
    topology: str
    ready: int
    owner: int = -1


def main() -> None:
    """Run a keeper until its end."""
    order = Order(**json.loads(sys.argv[1]))
    try:
        _run(order)
    except Exception as error:  # noqa: BLE001  (whatever it is, the one who waits for us must hear of it in a sentence)
        _report(order.ready, error)
        sys.exit(getattr(error, "exit", EXIT_INTERNAL))


def _run(order: Order) -> None:
    for descriptor in (order.ready, order.owner):
        if descriptor >= 0:
            os.set_inheritable(descriptor, False)
    began = time.monotonic()
    gc.disable()  # until all is built: what is made meanwhile stays
    network = topologies.load(order.topology)
    store = furnish(network)
    _require_programs()
    held = claim(order.name)

    def born(child: int) -> None:
        held.note(Running(order.name, child, order.topology, order.owner >= 0, time.time()))

    try:
        isolate(born)
    except BaseException:
        held.release()
        raise
    _raise_limits()
    asyncio.run(_keep(order, network, store, held, began))


def _report(descriptor: int, said: Exception | dict[str, Any]) -> None:
    plain = {"error": {"type": type(said).__name__, "message": str(said)}} if isinstance(said, Exception) else said
    os.write(descriptor, json.dumps(plain).encode() + b"\n")
    os.close(descriptor)


def _require_programs() -> None:
    from chaosnet.targets.lab.nft import library
    from chaosnet.targets.lab.processes import program

    try:
        library()
        for name in _NEEDED:
            program(name)
    except TargetError as error:
        raise Unsupported(f"no lab can run here: {error}") from None


def _raise_limits() -> None:
    """A lab of 200 pods has thousands of descriptors; the usual soft limit is 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _keep(order: Order, network: Topology, store: Store, held: Claim, began: float) -> None:
    from chaosnet.targets.lab.desk import Desk
    from chaosnet.targets.lab.lab import Lab
    from chaosnet.targets.lab.switchboard import Switchboard

    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    for number in (signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    try:
        _quiet(order)
        lab = Lab(network, store)
        loop.add_signal_handler(signal.SIGCHLD, lab.processes.reap)
        desk = Desk(lab, order.name, over.set)
        lab.bring_up()
        watcher = loop.create_task(lab.routing.keep_fresh())
        board = Switchboard(held.listener, loop, desk.answer)
    except BaseException:
        held.release()
        raise
    # What has been made by now stays for good: the collector need not look through it again and again.
    gc.freeze()
    gc.enable()
    if order.owner >= 0:
        loop.add_reader(order.owner, over.set)
    _report(order.ready, {"ready": {"name": order.name, "seconds": round(time.monotonic() - began, 3), "pods": len(lab.pods)}})
    await over.wait()
    board.close()
    watcher.cancel()
    # All others first, so that whoever sees the record go finds nothing left of the lab.
    loop.remove_signal_handler(signal.SIGCHLD)
    lab.processes.end()
    held.release()


def _quiet(order: Order) -> None:
    """From here on nothing goes to the terminal of whoever started the lab; what is worth noting goes to a file in the lab."""
    Path("/run/chaosnet").mkdir(exist_ok=True)
    nothing = os.open("/dev/null", os.O_RDWR)
    log = os.open("/run/chaosnet/keeper.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number, descriptor in ((0, nothing), (1, log), (2, log)):
        os.dup2(descriptor, number)
    os.close(nothing)
    os.close(log)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")


if __name__ == "__main__":
    main()
