"""What this machine can and cannot run, why not, and the one command that mends it.

Looks for programs and libraries, and lets a child process try each kernel feature for real
(:mod:`chaosnet.targets.lab.scratch`).  It changes nothing, and mends nothing itself.
"""

import ctypes
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from chaosnet.errors import TargetError
from chaosnet.targets.lab.processes import PACKAGES, program
from chaosnet.targets.lab.scratch import NAMESPACES

_PATIENCE = 30.0
_APT = "sudo apt-get install -y --no-install-recommends"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at.  ``found`` is what was seen; ``needed`` what cannot run without it; ``mend`` one command, or advice.

    ``essential`` is whether nothing at all runs without it.
    """

    name: str
    ok: bool
    found: str
    needed: str
    mend: str = ""
    essential: bool = False


# Kernel feature → what needs it, and whether everything does.
_FEATURES = {
    NAMESPACES: ("the lab: it lives in namespaces of its own", True),
    "nftables": ("the lab's Services and policies, and most faults", True),
    "fuse": ("the fuse that undoes a fault when everything else is dead", True),
    "nat": ("Services", True),
    "veth": ("the lab's cables", True),
    "bridge": ("the network between a cluster's nodes", True),
    "reject": ("partition with reject, and policies that reject", False),
    "share": ("loss", False),
    "notrack": ("break_service with missing rules", False),
    "ct count": ("exhaust_conntrack", False),
    "classify": ("bandwidth, delay and the like for a part of the traffic", False),
    "vxlan": ("labs with overlay: vxlan", False),
    "htb": ("bandwidth, delay and the like", False),
    "tbf": ("bandwidth", False),
    "netem": ("delay, jitter, duplicate, corrupt and reorder", False),
}
_MODULES = {
    "nftables": "nf_tables", "fuse": "nf_tables", "nat": "nft_chain_nat", "reject": "nft_reject_inet", "share": "nft_numgen",
    "notrack": "nft_ct", "ct count": "nft_connlimit", "classify": "nf_tables", "vxlan": "vxlan", "htb": "sch_htb",
    "tbf": "sch_tbf", "netem": "sch_netem", "veth": "veth", "bridge": "bridge",
}  # fmt: skip
_PROGRAMS = {
    "bird": ("BGP in the lab", True), "dnsmasq": ("DNS in the lab", True),
    "haproxy": ("reverse proxies in the lab (mixed-cni)", False),
    "tcpdump": ("lab capture", False),
}  # fmt: skip


def examine() -> tuple[Check, ...]:
    """Everything, looked at now."""
    return (*_software(), *_programs(), *_kernel())


def _software() -> Iterator[Check]:
    version = platform.python_version()
    enough = sys.version_info >= (3, 11)
    yield Check("python", enough, version, "everything", "" if enough else "install Python 3.11 or later", True)
    versions = []
    for name in ("chaostoolkit", "chaostoolkit-lib"):
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{name} is missing")
    missing = any("missing" in text for text in versions)
    yield Check("chaostoolkit", not missing, ", ".join(versions), "every run", "make setup" if missing else "", True)


def _programs() -> Iterator[Check]:
    try:
        ctypes.CDLL("libnftables.so.1")
        yield Check("libnftables", True, "loads", "the lab and its faults", essential=True)
    except OSError as error:
        yield Check("libnftables", False, str(error), "the lab and its faults", f"{_APT} libnftables1", True)
    named = Path("/etc/protocols").is_file()
    yield Check(
        "protocol names", named, "/etc/protocols" if named else "there is no /etc/protocols",
        "Services and faults that name a protocol: nft knows them by number only", "" if named else f"{_APT} netbase", True,
    )  # fmt: skip
    for name, (needed, essential) in _PROGRAMS.items():
        try:
            yield Check(name, True, program(name), needed, essential=essential)
        except TargetError:
            yield Check(name, False, "not installed", needed, f"{_APT} {PACKAGES.get(name, name)}", essential)


def _kernel() -> Iterator[Check]:
    said = kernel_features()
    for feature, (needed, essential) in _FEATURES.items():
        why = said.get(feature, "not tried, for there are no namespaces to try it in")
        mend = "" if not why else _mend_namespaces() if said.get(NAMESPACES) else _mend_module(feature)
        found = "the kernel does not have it" if why.endswith("No such file or directory") else why or "works"
        yield Check(feature, not why, found, needed, mend, essential)


@cache
def kernel_features() -> Mapping[str, str]:
    """Feature → empty where the kernel can do it, else what it said; tried once in this process's life, by a child."""
    try:
        tried = subprocess.run(
            [sys.executable, "-m", "chaosnet.targets.lab.scratch"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {NAMESPACES: f"trying took longer than {_PATIENCE:g} s"}
    try:
        found: dict[str, str] = json.loads(tried.stdout)
    except ValueError:
        last = (tried.stderr.strip().splitlines() or [f"exit status {tried.returncode}"])[-1]
        return {NAMESPACES: f"the trial ended early: {last}"}
    return found


def _mend_namespaces() -> str:
    """The command for the reason why ordinary users get no namespaces; the reasons are those of Debian, Ubuntu and containers."""
    for key, bad, good in (
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
        ("kernel.unprivileged_userns_clone", "0", "1"),
        ("user.max_user_namespaces", "0", "10000"),
        ("user.max_net_namespaces", "0", "10000"),
    ):
        value = _read(f"/proc/sys/{key.replace('.', '/')}")
        if value == bad and (os.getuid() != 0 or key.startswith("user.")):
            return f"sudo sysctl -w {key}={good}"
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return "start the container with --privileged"
    return "run as root, or on a machine that lets users make namespaces"


def _mend_module(feature: str) -> str:
    module = _MODULES.get(feature, "")
    folder = Path("/lib/modules") / platform.release()
    listed = _read(str(folder / "modules.dep")) + _read(str(folder / "modules.builtin"))
    if f"/{module}.ko" in listed:
        return f"sudo modprobe {module}"
    if "Ubuntu" in _read("/etc/os-release") and folder.exists():
        return f"{_APT} linux-modules-extra-{platform.release()}"
    if "cloud" in platform.release():
        return f"{_APT} linux-image-amd64 && sudo reboot"
    return f"this kernel ({platform.release()}) has no {module}; use one that has it, such as the distribution's own"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
