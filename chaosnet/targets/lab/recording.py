"""Captures at several points of a lab, as the one who asks for them sees it: a filter in words, a file, a count by point.

tcpdump compiles the filter and is needed for nothing else; packets are captured by the keeper
(:mod:`chaosnet.targets.lab.sniffer`).  Which points there are is :mod:`chaosnet.targets.lab.capture`.
"""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from chaosnet.errors import InputError
from chaosnet.targets.lab.client import LabTarget
from chaosnet.targets.lab.processes import program


def record(
    lab: LabTarget,
    points: Sequence[tuple[str, str, str]],
    path: Path,
    seconds: float,
    expression: str,
    wait: Callable[[float], object],
) -> dict[str, int]:
    """Capture at ``points`` (name, namespace, interface) while ``wait(seconds)`` waits; point → packets.

    ``expression`` is a filter as pcap-filter(7) has it.  Raises InputError for a filter that is none or a file that cannot be
    written, TargetError where packets cannot be captured.
    """
    instructions = compiled(expression) if expression else ()
    try:
        file = path.open("wb")
    except OSError as error:
        raise InputError("-w", f"{path} cannot be written: {error.strerror}", "name another file") from None
    with file:
        return lab.record(points, instructions, file.fileno(), lambda: wait(seconds))


def compiled(expression: str) -> tuple[tuple[int, int, int, int], ...]:
    """A filter as instructions for the kernel; InputError with tcpdump's own words where it is none."""
    # A word that begins with a hyphen would be an option; no filter does.
    argv = [program("tcpdump"), "-ddd", "-y", "EN10MB", "--", expression]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=10.0, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise InputError(
            "--filter", f"{expression!r} is no filter ({said[-1] if said else 'tcpdump says no'})", "see pcap-filter(7)"
        )
    lines = [tuple(map(int, line.split())) for line in done.stdout.splitlines()[1:]]
    return tuple((line[0], line[1], line[2], line[3]) for line in lines)
