"""The sampler: 200 UDP edges at 100 Hz each, echo servers in the same process: CPU, losses, and how well outages are timed.

    python -m bench.sampler [SECONDS]

First the plain watch: CPU time of the process (both sides, and the kernel's work on its behalf) against the clock, and every
sample that was not open.  Then outages: a rule at the node goes in and comes out, each bracketed by the monotonic clock; the
time that the samples of the edge say (midway between the last of the old state and the first of the new) is compared with the
bracket.  Outages about which the machine kept the process from two attempts running are left out, and counted.
"""

import asyncio
import json
import random
import sys
from time import monotonic, process_time

from bench.pods import Stage, alone, die
from chaosnet.model.edge import Edge, Observation, State
from chaosnet.targets.lab.percentiles import percentile

_EDGES, _RATE, _OUTAGES = 200, 100, 25
_ON_TIME = 2 / _RATE
_RULE = """table inet t {
    set s { type ipv4_addr; }
    chain c { type filter hook forward priority 0; ip saddr @s drop; }
}
"""


async def _drain(stage: Stage, cursor: int, seconds: float) -> tuple[int, list[Observation]]:
    seen: list[Observation] = []
    until = monotonic() + seconds
    while monotonic() < until:
        await asyncio.sleep(0.1)
        cursor, more = stage.prober.samples(cursor)
        seen += more
    return cursor, seen


async def _plain(stage: Stage, edges: list[Edge], seconds: float) -> tuple[dict[str, float], int]:
    stage.prober.watch(edges, 1 / _RATE, 1.0)
    await asyncio.sleep(0.5)
    cursor, _ = stage.prober.samples(0)
    began, cpu = monotonic(), process_time()
    cursor, seen = await _drain(stage, cursor, seconds)
    took, cpu = monotonic() - began, process_time() - cpu
    figures = {
        "edges": len(edges), "rate": _RATE, "seconds": took, "cores": cpu / took, "samples": len(seen),
        "expected": len(edges) * _RATE * took, "not_open": sum(one.state is not State.OPEN for one in seen),
        "missed": stage.prober.missed,
    }  # fmt: skip
    return figures, cursor


async def _outages(stage: Stage, edges: list[Edge], cursor: int) -> dict[str, float]:
    nft = stage.spaces.nft("bench/node")
    nft.run(_RULE)
    begins, ends, late = [], [], 0
    for _ in range(_OUTAGES):
        edge = random.choice(edges)
        source = next(pod for pod in stage.pods if pod.name == edge.source.name)
        since = monotonic()
        cursor, seen = await _drain(stage, cursor, 0.2 + random.random() / 10)
        before = monotonic()
        nft.run(f"add element inet t s {{ {source.addresses[0]} }}")
        cut = (before, monotonic())
        await asyncio.sleep(0.1 + random.random() / 10)
        before = monotonic()
        nft.run(f"delete element inet t s {{ {source.addresses[0]} }}")
        mended = (before, monotonic())
        cursor, more = await _drain(stage, cursor, 1.2)
        mine = sorted((one for one in (*seen, *more) if one.edge == edge.name and one.at > since), key=lambda one: one.at)
        lost = [one.at for one in mine if one.state is not State.OPEN]
        good_before = max((one.at for one in mine if lost and one.at < min(lost)), default=0.0)
        good_after = next((one.at for one in mine if lost and one.at > max(lost)), 0.0)
        if not good_before or not good_after or max(min(lost) - good_before, good_after - max(lost)) > _ON_TIME:
            late += 1  # the machine kept this process from its clock just then: that says nothing about the sampler
            continue
        begins.append(_beyond((good_before + min(lost)) / 2, cut))
        ends.append(_beyond((max(lost) + good_after) / 2, mended))
    if not begins:
        die("the machine was too busy to keep the sampler's clock through a single outage")
    begins.sort()
    ends.sort()
    return {
        "begin_ms_p50": percentile(begins, 0.5), "begin_ms_max": begins[-1],
        "end_ms_p50": percentile(ends, 0.5), "end_ms_max": ends[-1], "outages": len(begins), "left_out": late,
    }  # fmt: skip


def _beyond(at: float, bracket: tuple[float, float]) -> float:
    """Milliseconds by which ``at`` lies outside the bracket."""
    return max(0.0, bracket[0] - at, at - bracket[1]) * 1000


async def _measure(seconds: float) -> dict[str, float]:
    stage = Stage(_EDGES // 10, asyncio.get_running_loop())
    edges = [
        stage.edge(stage.pods[n % len(stage.pods)], stage.pods[(n + 1 + n // len(stage.pods)) % len(stage.pods)], "udp")
        for n in range(_EDGES)
    ]
    figures, cursor = await _plain(stage, edges, seconds)
    figures |= await _outages(stage, edges, cursor)
    stage.prober.close()
    stage.servers.close()
    stage.poller.close()
    return figures


def main() -> None:
    """Measure, print one JSON document."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    alone()
    print(json.dumps({key: round(value, 3) for key, value in asyncio.run(_measure(seconds)).items()}))


if __name__ == "__main__":
    main()
