"""Every benchmark, one after the other, as a table: what is promised, what was measured, and whether that is met.

    make bench        (python -m bench)

Each benchmark is a process of its own and measures both sides of its ratio in one run.  On a machine that does other things
meanwhile the ratios hold better than the figures.  Exit status 1 where a promise is not met.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_BRINGUP = "import json, sys; from bench.bringup import measure; print(json.dumps(measure(int(sys.argv[1]))))"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; ``met`` is None where nothing could be compared."""

    what: str
    promise: str
    measured: str
    met: bool | None


def _json(*argv: str) -> dict[str, Any]:
    print(f"measuring: {argv[1] if argv[0] == '-m' else 'bench.bringup ' + argv[-1]}", file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, *argv], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _bringup() -> Iterator[Row]:
    ours: dict[int, float] = {}
    for pods in (20, 60, 200):
        found = _json("-c", _BRINGUP, str(pods))
        ours[pods], batch, mininet = found["ours"], found["ip -batch"], found["Mininet"]
        if mininet is not None:
            ratio = mininet / ours[pods]
            yield Row(
                f"lab up, {pods} pods, against Mininet", "≥ 5× faster",
                f"{ours[pods]:.3f} s against {mininet:.2f} s: {ratio:.1f}×", ratio >= 5,
            )  # fmt: skip
        elif pods <= 60:
            yield Row(f"lab up, {pods} pods, against Mininet", "≥ 5× faster", "Mininet is not installed", None)
        if batch is not None:
            share = ours[pods] / batch
            yield Row(
                f"lab up, {pods} pods, against ip -batch", "≤ 2×",
                f"{ours[pods]:.3f} s against {batch:.3f} s: {share:.2f}×", share <= 2,
            )  # fmt: skip
    growth = ours[200] / ours[20]
    yield Row("lab up, growth from 20 to 200 pods", "≤ 10× (linear)", f"{growth:.1f}×", growth <= 10)


def _matrix() -> Iterator[Row]:
    found = _json("-m", "bench.matrix")
    what = f"TCP reach matrix, {found['pods']} pods, {found['edges']} edges"
    yield Row(
        f"{what}, against nsenter", "≥ 20× faster",
        f"{found['prober']:.2f} s against {found['nsenter']:.1f} s: {found['faster_than_nsenter']:.0f}×",
        found["faster_than_nsenter"] >= 20,
    )  # fmt: skip
    yield Row(
        f"{what}, against a loop in C", "≤ 3×",
        f"{found['prober']:.2f} s against {found['c']:.2f} s: {found['times_c']:.2f}×", found["times_c"] <= 3,
    )  # fmt: skip


def _inject() -> Iterator[Row]:
    for kind, found in _json("-m", "bench.inject").items():
        limit = 5 if kind == "Filter" else 20
        for deed, word in (("do", "do to the first packet that feels it"), ("undo", "undo to the first that does not")):
            p99 = found[f"{deed}_p99_ms"]
            measured = f"p50 {found[f'{deed}_p50_ms']:.2f} ms, p99 {p99:.2f} ms, of {found['injections']}"
            yield Row(f"{kind}: {word}", f"p99 ≤ {limit} ms", measured, p99 <= limit)


def _startup() -> Iterator[Row]:
    found = _json("-m", "bench.startup")
    yield Row(
        "chaosnet --version, against chaos --version", "< half",
        f"{found['chaosnet'] * 1000:.0f} ms against {found['chaos'] * 1000:.0f} ms: {found['share']:.2f}×", found["share"] < 0.5,
    )  # fmt: skip


def _sampler() -> Iterator[Row]:
    found = _json("-m", "bench.sampler")
    what = f"sampler, {found['edges']} UDP edges at {found['rate']} Hz"
    yield Row(f"{what}: use of a core, echo servers included", "≤ 0.5", f"{found['cores']:.2f}", found["cores"] <= 0.5)
    lost = found["not_open"]
    yield Row(f"{what}: lost without a fault", "0", f"{lost:.0f} of {found['samples']:.0f}", lost == 0)
    for end in ("begin", "end"):
        middle, worst = found[f"{end}_ms_p50"], found[f"{end}_ms_max"]
        yield Row(
            f"{end} of an outage, outside the kernel call's bracket",
            "≤ 10 ms",
            f"p50 {middle:.1f} ms, worst {worst:.1f} ms, of {found['outages']}",
            worst <= 10,
        )


def main() -> None:
    """Measure everything, print the table as Markdown."""
    print(f"{platform.system()} {platform.release()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    rows = [row for part in (_startup, _bringup, _matrix, _sampler, _inject) for row in part()]
    print("| what | promised | measured | met |\n|---|---|---|---|")
    for row in rows:
        met = "not compared" if row.met is None else "yes" if row.met else "NO"
        print(f"| {row.what} | {row.promise} | {row.measured} | {met} |")
    sys.exit(any(row.met is False for row in rows))


if __name__ == "__main__":
    main()
