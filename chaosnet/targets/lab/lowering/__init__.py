"""How the lab makes each kind of change, one file a family; the executor calls them and keeps the order.

A family is a module that satisfies :class:`Lowering`.  ``prepare`` only reads; ``take_back`` works from the Undo alone,
by names and values of ours only, any number of times, also where ``do`` got half way or never ran.  No family sets
timers or knows of other tickets: that is the executor's.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from chaosnet.model.fault import Reading
from chaosnet.model.ticket import Undo

if TYPE_CHECKING:
    from chaosnet.targets.lab.lab import Lab


@dataclass(frozen=True, slots=True)
class Deed:
    """One change of one ticket about to be made: ``index`` is its place in the ticket, ``seconds`` what the fuse has left."""

    ticket: str
    index: int
    seconds: float


class Lowering(Protocol):
    """What the executor asks of a family.  ``change`` is one of the family's kinds."""

    @property
    def OPS(self) -> tuple[str, ...]:
        """The undo words that are the family's."""
        ...

    def prepare(self, lab: "Lab", deed: Deed, change: Any) -> Undo:
        """How the change would be taken back.  Unsupported or Refused, with a sentence, where it must not be made."""
        ...

    def do(self, lab: "Lab", deed: Deed, change: Any, undo: Undo) -> None:
        """Make the change."""
        ...

    def take_back(self, lab: "Lab", undo: Undo) -> None:
        """Take it back; idempotent."""
        ...

    def read_back(self, lab: "Lab", deed: Deed, change: Any, undo: Undo) -> Reading:
        """Whether it is there now, from the kernel, the daemon or the store."""
        ...
