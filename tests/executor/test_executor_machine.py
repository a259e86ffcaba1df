"""Any order of preparing, arming, doing, undoing, blowing fuses, forgetting executors and panicking ends as it began."""

import json

import pytest
from executor_traffic import Net
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from chaosnet.errors import Refused
from chaosnet.model.change import Change, ConntrackPressure, DaemonState, Filter, LinkMtu, Match, Object, RouteMtu, Shape, Sysctl
from chaosnet.model.ticket import Undo
from chaosnet.targets.lab.executor import Executor

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def _changes(net: Net) -> list[Change]:
    node, pod = net.site("w-1"), net.site("a")
    label = json.dumps({"metadata": {"labels": {"app": "drifted"}}})
    return [
        Filter(node, "egress", Match(destinations=("10.0.2.0/24",))),
        Filter(node, "ingress", Match(), "reject", share=0.5),
        ConntrackPressure(node, 3),
        Shape(pod, "egress", rate=10**6),
        Shape(pod, "ingress", rate=10**6),
        LinkMtu(pod, 1400),
        LinkMtu(pod, 1300),
        RouteMtu(node, ("10.1.0.0/16",), 1400),
        Sysctl(pod, "net.ipv4.tcp_mtu_probing", "1"),
        DaemonState(net.site("w-2"), "kube-proxy"),
        Object("west", "patch", "Pod", "shop", net.site("b").name, label),
        Object("west", "delete", "Service", "shop", "b"),
    ]


def test_any_order_of_steps(small_lab):
    async def body(net: Net) -> None:
        net.executor.missing()
        before = net.executor.snapshot()
        tickets = iter(range(10**6))

        class Machine(RuleBasedStateMachine):
            """Tickets by id: what was prepared, how far each got, and that the ledger would still know its undo."""

            def __init__(self) -> None:
                super().__init__()
                self.prepared: dict[str, list[tuple[Change, Undo]]] = {}
                self.armed: list[str] = []

            @initialize()
            def fresh(self) -> None:
                net.executor = Executor(net.lab)
                net.executor._netem = ""

            @rule(which=st.lists(st.integers(0, 11), min_size=1, max_size=4))
            def prepare(self, which: list[int]) -> None:
                ticket = f"{next(tickets):010d}"
                found = []
                for number in which:
                    try:
                        change = _changes(net)[number]
                        found.append((change, net.executor.prepare(ticket, change)))
                    except (Refused, StopIteration):
                        continue
                self.prepared[ticket] = found

            @rule(data=st.data(), some=st.integers(0, 4))
            def arm_and_do(self, data: st.DataObject, some: int) -> None:
                waiting = sorted(set(self.prepared) - set(self.armed))
                if not waiting:
                    return
                ticket = data.draw(st.sampled_from(waiting))
                steps = self.prepared[ticket]
                self.armed.append(ticket)
                try:
                    net.executor.arm(ticket, [undo for _, undo in steps], 60)
                    for change, undo in steps[:some]:
                        net.executor.do(ticket, change, undo)
                except Refused:
                    # Somebody else holds it, or an object changed since: the engine undoes at once.
                    net.executor.undo(ticket, [undo for _, undo in steps])

            @rule(data=st.data())
            def undo(self, data: st.DataObject) -> None:
                if self.prepared:
                    ticket = data.draw(st.sampled_from(sorted(self.prepared)))
                    if ticket in self.armed:
                        net.executor.undo(ticket, [undo for _, undo in self.prepared[ticket]])

            @rule(data=st.data())
            def blow(self, data: st.DataObject) -> None:
                burning = sorted(t for t, armed in net.executor._tickets.items() if not armed.over)
                if burning:
                    net.executor._blow(data.draw(st.sampled_from(burning)))

            @rule()
            def panic(self) -> None:
                net.executor.panic()
                assert net.executor.owned() == ()
                assert net.executor.snapshot() == before

            def teardown(self) -> None:
                for ticket in reversed(self.armed):
                    net.executor.undo(ticket, [undo for _, undo in self.prepared[ticket]])
                assert net.executor.snapshot() == before
                assert net.executor.owned() == ()

        limits = settings(
            max_examples=40, stateful_step_count=12, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        run_state_machine_as_test(Machine, settings=limits)

    small_lab(body)
