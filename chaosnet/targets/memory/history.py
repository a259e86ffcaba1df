"""The in-memory network through time: from the record of what was done to it, the network at any moment.

Pure but for what it remembers of its own answers.  What was done is :mod:`.state`, what a network does :mod:`.network`.
"""

from dataclasses import replace
from functools import cached_property

from chaosnet.model.change import DaemonState
from chaosnet.model.inventory import Inventory
from chaosnet.targets.memory import sessions
from chaosnet.targets.memory.network import Active, Network, Session
from chaosnet.targets.memory.sessions import Turn
from chaosnet.targets.memory.state import State
from chaosnet.targets.memory.world import World

BEGINNING = float("-inf")


def inventory_with(world: World, active: tuple[Active, ...]) -> Inventory:
    """What exists while these changes are in force: a stopped node is not ready, nor its pods, nor are they endpoints.

    Where the endpoints controller of a cluster is stopped, its Services keep the endpoints that they had.
    """
    stops = [one.change for one in active if isinstance(one.change, DaemonState)]
    dead = {(stop.site.cluster, stop.site.name) for stop in stops if stop.daemon == "node"}
    if not dead:
        return world.inventory
    late = {stop.site.cluster for stop in stops if stop.daemon == "endpoints"}
    nodes = tuple(replace(node, ready=(node.cluster, node.name) not in dead) for node in world.inventory.nodes)
    pods = tuple(replace(pod, ready=(pod.cluster, pod.node) not in dead) for pod in world.inventory.pods)
    gone = {address for pod in pods if not pod.ready and pod.cluster not in late for address in pod.addresses}
    services = tuple(
        replace(service, backends=tuple(address for address in service.backends if address not in gone))
        for service in world.inventory.services
    )
    return replace(world.inventory, nodes=nodes, pods=pods, services=services)


class History:
    """The networks that one state describes."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._known: dict[tuple[tuple[Active, ...], frozenset[Session]], Network] = {}

    @cached_property
    def sessions(self) -> dict[Session, tuple[Turn, ...]]:
        """How every BGP session went, and will go if nobody does anything."""
        moments = self._state.moments()
        past = [(BEGINNING, self._at_rest(())), *((moment, self._at_rest(self._state.active(moment))) for moment in moments)]
        return sessions.histories(tuple(past), self._state.world)

    def _at_rest(self, active: tuple[Active, ...]) -> Network:
        return Network(self._state.world, inventory_with(self._state.world, active), active)

    def network(self, at: float) -> Network:
        """The network at ``at``."""
        active, down = self._state.active(at), sessions.down(self.sessions, at)
        if (active, down) not in self._known:
            inventory = inventory_with(self._state.world, active)
            self._known[active, down] = Network(self._state.world, inventory, active, down)
        return self._known[active, down]
