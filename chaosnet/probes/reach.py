"""Does traffic get through?  One edge, several, or the whole matrix; every state told apart.

Each call tries each edge once, now.  It does not wait for an edge to come back (``within`` does, up to its deadline) and
does not know which edges a fault should break: the run's sampler and verdict do.
"""

import time
from typing import Dict, List

from chaosnet.engine.session import current
from chaosnet.errors import InputError, TargetError
from chaosnet.model import units
from chaosnet.model.edge import Edge, Observation, ReachTable
from chaosnet.model.question import Reach, Reached

__all__ = ["edge_state", "edges_closed", "edges_open", "matrix", "matrix_open"]

_POLL = 0.1


def edges_open(edges: List[str], within: str = "", timeout: str = "1s") -> bool:
    """True when every one of these declared edges passes traffic.

    ``within`` keeps trying until then (for convergence); ``timeout`` is what one attempt may take.

    Example::

        module: chaosnet.probes.reach
        func: edges_open
        arguments: {edges: [small, answer], within: "5s"}
    """
    return all(item.state.passes for item in _until(edges, within, timeout, passes=True))


def edges_closed(edges: List[str], within: str = "", timeout: str = "1s") -> bool:
    """True when none of these declared edges passes traffic: what a policy must deny stays denied.

    Example::

        module: chaosnet.probes.reach
        func: edges_closed
        arguments: {edges: [intruder]}
    """
    return not any(item.state.passes for item in _until(edges, within, timeout, passes=False))


def edge_state(edge: str, timeout: str = "1s") -> str:
    """The state of one declared edge: open, degraded, refused, reset, unresolved or timed out.

    Example::

        module: chaosnet.probes.reach
        func: edge_state
        arguments: {edge: upload}
    """
    return str(worst(_try(current().group([edge], "edge_state.edge"), timeout)).state)


def matrix(timeout: str = "1s") -> Dict[str, str]:
    """The state of everything the run watches: edge → state.

    Example::

        module: chaosnet.probes.reach
        func: matrix
    """
    return {edge: str(state) for edge, state in table(_everything(timeout)).states.items()}


def matrix_open(except_edges: List = None, timeout: str = "1s") -> bool:  # type: ignore[assignment, type-arg]  # noqa: RUF013
    """True when everything the run watches passes traffic, but for ``except_edges``.

    Example::

        module: chaosnet.probes.reach
        func: matrix_open
        arguments: {except_edges: [intruder]}
    """
    excused = {edge.name for edge in current().group(except_edges or [], "matrix_open.except_edges")}
    return all(item.state.passes for item in _everything(timeout) if item.edge not in excused)


def worst(observations: List[Observation]) -> Observation:
    """The observation with the gravest state, in the order that State lists them."""
    order = {state: rank for rank, state in enumerate(type(observations[0].state))}
    return max(observations, key=lambda item: order[item.state])


def table(observations: List[Observation]) -> ReachTable:
    """Observations as a reach table."""
    return ReachTable({item.edge: item.state for item in observations}, {item.edge: item.detail for item in observations})


def _until(edges: List[str], within: str, timeout: str, passes: bool) -> List[Observation]:
    if not edges or not isinstance(edges, list):
        raise InputError("edges", f"{edges!r} names no edge", "list declared edges")
    chosen = current().group(edges)
    deadline = time.monotonic() + (units.duration(within, "within") if within else 0.0)
    while True:
        seen = _try(chosen, timeout)
        if all(item.state.passes == passes for item in seen) or time.monotonic() >= deadline:
            return seen
        time.sleep(_POLL)


def _everything(timeout: str) -> List[Observation]:
    return _try(tuple(item.edge for item in current().watching), timeout)


def _try(edges: "tuple[Edge, ...]", timeout: str) -> List[Observation]:
    answer = current().ask(Reach(edges, units.duration(timeout, "timeout")))
    if not isinstance(answer, Reached):
        raise TargetError("the target gave no reach table when asked for one")
    return list(answer.observations)
