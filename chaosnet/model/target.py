"""What the engine asks of a target.  Lab, Kubernetes and memory all satisfy :class:`Target` and pass the same contract tests.

The order of the calls is the engine's: ``prepare`` (reads only) → the ledger writes → ``arm`` → ``do`` → ``in_force`` → ...
→ ``undo`` → ``in_force`` is false.  Every method may raise TargetError; ``undo`` is idempotent.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from chaosnet.model.change import Change
from chaosnet.model.edge import Edge, Observation
from chaosnet.model.fault import Capabilities, Reading
from chaosnet.model.inventory import Inventory, Site
from chaosnet.model.question import Answer, Question
from chaosnet.model.ticket import Undo


class Target(Protocol):
    """Where a run happens.  ``name`` is lab, kubernetes or memory; ``ref`` reopens the same one from another process."""

    name: str
    ref: str

    def capabilities(self) -> Capabilities:
        """What can be done here; cheap, and the same for the whole run."""
        ...

    def inventory(self) -> Inventory:
        """What exists now."""
        ...

    def settle(self, timeout: float) -> None:
        """Wait until the target is ready to be probed (BGP converged, servers up); TargetError after ``timeout`` seconds."""
        ...

    def describe(self) -> Mapping[str, str]:
        """The environment in words for the report: kernel, versions, names."""
        ...

    def prepare(self, ticket: str, change: Change) -> Undo:
        """How ``change`` would be taken back, from what is there now.  Touches nothing.

        Raises Unsupported, or Refused where somebody else's state is in the way or the change would cut our own way back.
        """
        ...

    def arm(self, ticket: str, undo: Sequence[Undo], seconds: float) -> str:
        """Arm the fuse: after ``seconds`` the undo happens by itself, next to the fault.  Returns what the fuse is, in words."""
        ...

    def do(self, ticket: str, change: Change, undo: Undo) -> None:
        """Make the change, under names that carry ``ticket``.  Refused unless the ticket is armed."""
        ...

    def in_force(self, ticket: str, change: Change) -> Reading:
        """Read back from the kernel, daemon or API whether the change is there now."""
        ...

    def undo(self, ticket: str, undo: Sequence[Undo]) -> None:
        """Take everything of ``ticket`` back, last change first, and disarm its fuse.  Idempotent."""
        ...

    def fuse_blown(self, ticket: str) -> bool:
        """Whether the fuse of ``ticket`` went off before anybody undid it."""
        ...

    def owned(self) -> tuple[str, ...]:
        """Everything of chaosnet's faults that is there now, each in words (empty: clean)."""
        ...

    def panic(self) -> tuple[str, ...]:
        """Remove everything of ours without the ledger; what was removed, in words."""
        ...

    def snapshot(self) -> Mapping[str, str]:
        """Rules, routes, sysctls, qdiscs, MTUs, objects and daemons as text by key, without what moves by itself."""
        ...

    def forget(self, sites: Sequence[Site]) -> tuple[str, ...]:
        """Flush what endpoints of ours learned during the fault (PMTU, tcp_metrics, conntrack); what was flushed, in words."""
        ...

    def ask(self, question: Question) -> Answer:
        """Measure.  Unsupported where this target has no way to know."""
        ...

    def watch(self, edges: Sequence[Edge], interval: float, timeout: float) -> None:
        """Begin to try each edge every ``interval`` seconds on the target's own clock; replaces an earlier watch."""
        ...

    def samples(self, after: int) -> tuple[int, tuple[Observation, ...]]:
        """Observations since cursor ``after`` (0: all kept), and the new cursor.  Times are this host's monotonic clock."""
        ...

    def close(self) -> None:
        """Let go of the target.  A lab made for this run goes away."""
        ...
