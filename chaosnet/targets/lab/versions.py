"""Versions of what a lab is made of, in words, for reports."""

import platform
import subprocess
from functools import cache

from chaosnet import __version__
from chaosnet.errors import ChaosnetError
from chaosnet.targets.lab.processes import program

_ASK = {"bird": "--version", "dnsmasq": "--version"}


@cache
def versions() -> dict[str, str]:
    """Program → version; asked once, by running each."""
    found = {"chaosnet": __version__, "python": platform.python_version()}
    for name, option in _ASK.items():
        try:
            said = subprocess.run([program(name), option], capture_output=True, text=True, timeout=2.0, check=False)
        except (OSError, subprocess.SubprocessError, ChaosnetError):
            continue
        lines = (said.stdout + said.stderr).strip().splitlines()
        if lines:
            found[name] = lines[0].removeprefix("Dnsmasq version ").removeprefix("BIRD version ").split()[0]
    return found
