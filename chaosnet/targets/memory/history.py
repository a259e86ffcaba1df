"""The in-memory network through time: from the record of what was done to it, the network at any moment.

Pure but for what it remembers of its own answers.  What was done is :mod:`.state`, what a network does :mod:`.network`.
"""

from functools import cached_property

from chaosnet.model.change import DaemonState, Object
from chaosnet.targets.memory import sessions
from chaosnet.targets.memory.network import Network, Session
from chaosnet.targets.memory.present import Present, present
from chaosnet.targets.memory.sessions import Turn
from chaosnet.targets.memory.state import Active, State

BEGINNING = float("-inf")


class History:
    """The networks that one state describes.  ``before`` is an earlier history of the same world, for what it knows."""

    def __init__(self, state: State, before: "History | None" = None) -> None:
        self._state = state
        self._presents: dict[tuple[Active, ...], Present] = {} if before is None else before._presents
        self._known: dict[tuple[tuple[Active, ...], frozenset[Session]], Network] = {}

    @cached_property
    def sessions(self) -> dict[Session, tuple[Turn, ...]]:
        """How every BGP session went, and will go if nobody does anything."""
        moments = self._state.moments()
        past = [(BEGINNING, self._at_rest(())), *((moment, self._at_rest(self._state.active(moment))) for moment in moments)]
        return sessions.histories(tuple(past), self._state.world)

    def _at_rest(self, active: tuple[Active, ...], down: frozenset[Session] = frozenset()) -> Network:
        return Network(self._state.world, self._present(active), active, down)

    @property
    def at_rest(self) -> Present:
        """What exists with nothing in force."""
        return self._present(())

    def present(self, at: float) -> Present:
        """What exists at ``at``."""
        return self._present(self._state.active(at))

    def _present(self, active: tuple[Active, ...]) -> Present:
        changing = tuple(one for one in active if isinstance(one.change, Object | DaemonState))
        if changing not in self._presents:
            self._presents[changing] = present(self._state.world, changing)
        return self._presents[changing]

    def network(self, at: float) -> Network:
        """The network at ``at``."""
        active, down = self._state.active(at), sessions.down(self.sessions, at)
        if (active, down) not in self._known:
            self._known[active, down] = self._at_rest(active, down)
        return self._known[active, down]
