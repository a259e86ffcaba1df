"""A runner that dies: injects one fault and takes it back, and SIGKILLs itself at the step it is told.

Called as a script: LAB-REF FAULT STEP.  A step is one call of a target's or the ledger's method; an even STEP dies just before
call STEP/2, an odd one just after.  Without dying it prints how many calls there were.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from chaosnet.engine import inject as injection
from chaosnet.engine.experiment import Ceiling
from chaosnet.engine.ledger import Ledger
from chaosnet.faults.daemon import StopDaemon
from chaosnet.faults.labels import DriftLabels
from chaosnet.faults.mtu import ShrinkMtu
from chaosnet.faults.partition import Partition
from chaosnet.model.edge import Edge
from chaosnet.model.endpoint import parse_endpoint
from chaosnet.model.fault import Fault
from chaosnet.model.place import endpoint_place, parse_place
from chaosnet.targets import attach

FUSE = 3.0
INTRUDER = Edge(
    "intruder", parse_endpoint("prod/prod-ns/web-0", "from"), parse_endpoint("svc:prod/prod-ns/db", "to"), "tcp", 5432
)


def faults() -> dict[str, Callable[[], Fault]]:
    """One fault for each way of being undone: nftables, a device, routes with a filter, a daemon, an object."""
    client, web = endpoint_place("test/shop/client", "source"), endpoint_place("prod/prod-ns/web", "destination")
    return {
        "partition": lambda: Partition(client, web, duration=FUSE),
        "link": lambda: ShrinkMtu(parse_place("test/shop/client", "at"), 1400, duration=FUSE),
        "hop": lambda: ShrinkMtu(parse_place("node:test/test-1", "at"), 1400, "drop", duration=FUSE),
        "daemon": lambda: StopDaemon(parse_place("node:test/test-2", "at"), "kube-proxy", duration=FUSE),
        "labels": lambda: DriftLabels(endpoint_place("prod/prod-ns/db", "at"), (("tier", "storage"),), duration=FUSE),
    }


class Dying:
    """Anything, with a death at one call of its methods; the count is shared by all that die together."""

    calls = 0

    def __init__(self, inner: Any, step: int) -> None:
        self._inner, self._step = inner, step

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not callable(value):
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            number, Dying.calls = Dying.calls, Dying.calls + 1
            if self._step == 2 * number:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = value(*args, **kwargs)
            if self._step == 2 * number + 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return call


def main(ref: str, fault: str, step: int) -> None:
    """Inject and take back, unless death comes first."""
    target = attach("lab", ref)
    setting = injection.Setting(
        Dying(target, step), Dying(Ledger(), step), "crash", {}, Ceiling(), [], False, lambda *_, **__: time.monotonic(),
        (INTRUDER,),
    )  # type: ignore[arg-type]
    run = injection.inject(setting, faults()[fault]())
    injection.take_back(setting, run, "driver")
    print(Dying.calls)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
