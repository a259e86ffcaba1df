"""A full TCP reach matrix: the prober against a connect loop in C, and against one nsenter per edge, in one run.

    python -m bench.matrix [PODS]

All three connect to the same servers (the prober's own process has to accept for all of them, and for itself besides).
nsenter is timed over 200 edges and scaled to the matrix.  Medians of five.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from bench.pods import PORT, Stage, alone, die
from chaosnet.model.edge import State
from chaosnet.model.question import Reach

_ROUNDS = 5
_BY_NSENTER = 200


async def _measure(count: int, loop_in_c: Path) -> dict[str, float]:
    stage = Stage(count, asyncio.get_running_loop())
    edges = stage.matrix()
    addresses = {f"pod-{n}": pod.addresses[0] for n, pod in enumerate(stage.pods)}
    spaces = {pod.name: stage.spaces.descriptor(f"bench/ns/{pod.name}") for pod in stage.pods}
    table = "".join(f"{spaces[e.source.name]} {addresses[e.destination.name]} {PORT}\n" for e in edges)
    ours, theirs = [], []
    for _ in range(_ROUNDS):
        began = perf_counter()
        answer = await stage.prober.reach(Reach(tuple(edges), 5.0))
        ours.append(perf_counter() - began)
        if any(one.state is not State.OPEN for one in answer.observations):
            die("the matrix is not open: the benchmark proves nothing")
        child = await asyncio.create_subprocess_exec(
            loop_in_c, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=tuple(spaces.values())
        )
        out, _ = await child.communicate(table.encode())
        seconds, good, bad = out.split()
        if int(good) != len(edges) or int(bad):
            die(f"the loop in C opened {good.decode()} of {len(edges)} edges")
        theirs.append(float(seconds))
    began = perf_counter()
    for edge in edges[:: max(1, len(edges) // _BY_NSENTER)][:_BY_NSENTER]:
        space = spaces[edge.source.name]
        argv = ["nsenter", f"--net=/proc/self/fd/{space}", str(loop_in_c), "one", addresses[edge.destination.name], str(PORT)]
        # The kernel completes handshakes for a server that is not accepting just now, so nothing waits for our loop.
        if subprocess.run(argv, pass_fds=(space,), check=False).returncode:
            die("a probe through nsenter failed")
    each = (perf_counter() - began) / min(_BY_NSENTER, len(edges))
    stage.prober.close()
    stage.servers.close()
    stage.poller.close()
    mine, c = statistics.median(ours), statistics.median(theirs)
    return {
        "pods": count, "edges": len(edges), "prober": mine, "c": c, "nsenter": each * len(edges),
        "times_c": mine / c, "faster_than_nsenter": each * len(edges) / mine,
    }  # fmt: skip


def main() -> None:
    """Compile, measure, print one JSON document."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "connect_loop"
        source = Path(__file__).with_name("connect_loop.c")
        subprocess.run(["cc", "-O2", "-o", str(program), str(source)], check=True)
        alone()
        print(json.dumps({key: round(value, 4) for key, value in asyncio.run(_measure(count, program)).items()}))


if __name__ == "__main__":
    main()
