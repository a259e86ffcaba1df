"""The lab's prober: answers the questions that are answered by sending packets.

Reach here; path MTU, DNS, streams, throughput and load each in a module of their own; continuous watching in the sampler.
All on the keeper's one event loop: a method awaits, and never holds the loop for more than a few milliseconds.  Questions
about state (routes, sessions, counters) are answered elsewhere.
"""

import asyncio
from collections.abc import Sequence
from time import monotonic

from chaosnet.errors import Unsupported
from chaosnet.model.edge import Edge, Observation, State
from chaosnet.model.question import (
    Answer,
    Dns,
    DnsReply,
    Load,
    PathMtu,
    Question,
    Reach,
    Reached,
    Stream,
    Throughput,
)
from chaosnet.targets.lab import load, pathmtu, streams
from chaosnet.targets.lab.attempts import Attempts
from chaosnet.targets.lab.holds import Holds
from chaosnet.targets.lab.namespaces import site_namespace
from chaosnet.targets.lab.paths import DNS_PORT, Path, Paths, Surroundings
from chaosnet.targets.lab.resolver import Found, ask
from chaosnet.targets.lab.sampler import Sampler
from chaosnet.targets.lab.servers import Servers
from chaosnet.targets.lab.sockets import Outcome, Poller, Spaces

# Attempts under way at once: far below the 28,000 ephemeral ports of a source and the 20,000 descriptors of a process.
_ABREAST = 1024
_SLICE = 0.002


class Prober:
    """Everything of a lab that measures.  ``servers`` are the far ends, whose tallies streams and throughput read."""

    QUESTIONS = (Reach, PathMtu, Dns, Stream, Throughput, Load)

    def __init__(
        self, spaces: Spaces, poller: Poller, servers: Servers, surroundings: Surroundings,
        loop: asyncio.AbstractEventLoop,
    ) -> None:  # fmt: skip
        self._spaces = spaces
        self._poller = poller
        self._servers = servers
        self._loop = loop
        self._attempts = Attempts(poller, loop)
        self._paths = Paths(spaces, surroundings)
        self._sampler = Sampler(spaces, poller, self._attempts, self._paths, loop)
        self._holds = Holds(spaces, poller, self._paths, loop)

    @property
    def missed(self) -> int:
        """Attempts the sampler left out so far, because this process was late or too many were under way."""
        return self._sampler.missed

    def refresh(self) -> None:
        """Pods, Services or addresses have moved: resolve edges afresh from now on."""
        self._paths.refresh()
        self._sampler.refresh()

    async def ask(self, question: Question) -> Answer:
        """Answer one of :attr:`QUESTIONS`; Unsupported for any other, ChaosnetError where its sites do not exist."""
        self._paths.refresh()
        match question:
            case Reach():
                return await self.reach(question)
            case PathMtu():
                return await pathmtu.measure(self._spaces, self._attempts, self._poller, question)
            case Dns():
                return await self._dns(question)
            case Stream():
                path = self._paths.path(question.edge)
                return await streams.stream(self._spaces, self._poller, self._servers, path, question)
            case Throughput():
                path = self._paths.path(question.edge)
                return await streams.throughput(self._spaces, self._attempts, self._servers, path, question)
            case Load():
                return await load.measure(self._attempts, self._paths.path(question.edge), question)
        raise Unsupported(f"the prober does not answer {type(question).__name__}")

    async def reach(self, question: Reach) -> Reached:
        """Try every edge once, as many abreast as descriptors and ports bear."""
        paths = [self._paths.path(edge) for edge in question.edges]
        seen: list[Observation | None] = [None] * len(paths)
        landed = asyncio.Event()
        missing = len(paths)

        def launch(index: int, path: Path) -> None:
            began = monotonic()

            def land(outcome: Outcome, taken: float) -> None:
                nonlocal missing
                seen[index] = Observation(path.edge.name, outcome.state, began, taken, outcome.detail)
                missing -= 1
                landed.set()

            self._attempts.launch(path.steps(), question.timeout, land)

        until = monotonic() + _SLICE
        by_source = sorted(range(len(paths)), key=lambda index: paths[index].namespace)
        for launched, index in enumerate(by_source, 1):
            launch(index, paths[index])
            if monotonic() > until:
                await asyncio.sleep(0)
                until = monotonic() + _SLICE
            while launched - (len(paths) - missing) >= _ABREAST:
                landed.clear()
                await landed.wait()
        while missing:
            landed.clear()
            await landed.wait()
        return Reached(tuple(one for one in seen if one is not None))

    async def _dns(self, question: Dns) -> DnsReply:
        namespace = site_namespace(question.source)
        server = self._paths.surroundings.resolver(question.source)
        found: list[Found] = []
        steps = ask(self._spaces, namespace, server, DNS_PORT, question.name, found)
        outcome, seconds = await self._attempts.run(steps, question.timeout)
        if found:
            return DnsReply(found[0].rcode, found[0].addresses, seconds)
        rcode = {State.REFUSED: "REFUSED", State.TIMED_OUT: "TIMEOUT"}.get(outcome.state, outcome.detail or "UNKNOWN")
        return DnsReply(rcode, (), seconds)

    def watch(self, edges: Sequence[Edge], interval: float, timeout: float) -> None:
        """Begin to try each edge every ``interval`` seconds; replaces an earlier watch.  No edges: stop."""
        self._sampler.watch(edges, interval, timeout)

    def samples(self, after: int) -> tuple[int, tuple[Observation, ...]]:
        """Observations that ended since cursor ``after``, and the new cursor."""
        return self._sampler.samples(after)

    def hold(self, edges: Sequence[Edge], interval: float = 0.2, timeout: float = 1.0) -> None:
        """Keep one TCP connection open along each edge and send a little over it again and again; no edges: let go."""
        self._holds.hold(edges, interval, timeout)

    def held(self) -> tuple[Observation, ...]:
        """Whether each kept connection carries data now, in the order asked."""
        return self._holds.held()

    def close(self) -> None:
        """Stop watching and drop what is under way."""
        self._sampler.close()
        self._holds.close()
        self._attempts.close()
