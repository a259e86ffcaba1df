"""A steady load over one edge: the success rate and latency that a business would feel.

Open loop: requests begin at their appointed times whatever became of the ones before, and latency counts from the appointed
time, so a stall is felt by all the requests it held up (no "coordinated omission").  Judges nothing.
"""

import asyncio
from collections import Counter
from functools import partial
from time import monotonic

from chaosnet.errors import TargetError
from chaosnet.model.edge import State
from chaosnet.model.question import Load, Loaded
from chaosnet.targets.lab.attempts import Attempts
from chaosnet.targets.lab.paths import Path
from chaosnet.targets.lab.percentiles import percentile
from chaosnet.targets.lab.sockets import Outcome

_ABREAST = 4096


async def measure(attempts: Attempts, path: Path, question: Load) -> Loaded:
    """Send the load and wait for the last answer or timeout.

    Raises TargetError for an edge whose protocol cannot carry requests, or for figures that cannot be.
    """
    if question.edge.protocol not in ("http", "tcp", "dns", "udp"):
        raise TargetError(f"a load needs an http, tcp, dns or udp edge; {question.edge} is none of them")
    if not 1 <= question.rate <= 10000 or not 0 < question.seconds <= 3600 or question.timeout <= 0:
        raise TargetError(f"a load of {question.rate}/s for {question.seconds} s cannot be; choose 1 to 10000 a second")
    total = max(1, round(question.rate * question.seconds))
    outcomes: Counter[State] = Counter()
    latencies: list[float] = []
    done = asyncio.Event()
    began = monotonic()

    def land(intended: float, outcome: Outcome, _: float = 0.0) -> None:
        outcomes[outcome.state] += 1
        if outcome.state is State.OPEN:
            latencies.append(monotonic() - intended)
        if outcomes.total() == total:
            done.set()

    for number in range(total):
        intended = began + number / question.rate
        if (ahead := intended - monotonic()) > 0:
            await asyncio.sleep(ahead)
        elif number % 32 == 0:
            await asyncio.sleep(0)
        left = intended + question.timeout - monotonic()
        if left <= 0 or number - outcomes.total() >= _ABREAST:
            land(intended, Outcome(State.UNKNOWN if left > 0 else State.TIMED_OUT))
            continue
        attempts.launch(path.steps(), left, partial(land, intended))
    await done.wait()
    latencies.sort()
    return Loaded(
        requests=total,
        succeeded=outcomes[State.OPEN],
        outcomes=tuple((state.value, outcomes[state]) for state in State if outcomes[state]),
        p50=percentile(latencies, 0.50),
        p95=percentile(latencies, 0.95),
        p99=percentile(latencies, 0.99),
    )
