"""How long the command line takes to say its version, against chaostoolkit's, in one run.

    python -m bench.startup [ROUNDS]

Both programs in turn, from the same environment; medians of whole processes.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path
from time import perf_counter


def _once(program: str) -> float:
    begin = perf_counter()
    subprocess.run([Path(sys.executable).parent / program, "--version"], check=True, capture_output=True)
    return perf_counter() - begin


def main() -> None:
    """Measure, print one JSON document."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    pairs = [(_once("chaosnet"), _once("chaos")) for _ in range(rounds)]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(json.dumps({"chaosnet": round(ours, 4), "chaos": round(theirs, 4), "share": round(ours / theirs, 3)}))


if __name__ == "__main__":
    main()
