"""Tests say what they need of the machine; a test that this machine can run is never skipped in silence.

``@pytest.mark.requires("netem")`` skips where :mod:`chaosnet.targets.lab.doctor` finds that feature (or program) missing, and
the marks ``lab``, ``browser`` and ``vm`` require what they need by themselves.  At the end every skip is listed with its reason,
and a skip of any other kind (``pytest.skip``, ``skipif``, ``importorskip``) fails the run: nobody would notice it otherwise.  A
reason that begins with "does not apply: " is for combinations of parameters that are no test at all.  With
``CHAOSNET_TESTS_SKIP_NOTHING`` set (as in the virtual machine) any skip fails the run.
"""

import os
import shutil
from collections.abc import Iterator

import pytest

_PREFIX = "this machine has no "
_ALLOWED = (_PREFIX, "does not apply: ")
_BY_MARK = {
    "lab": ("namespaces", "nftables", "fuse", "nat", "veth", "bridge", "bird", "dnsmasq", "libnftables"),
    "browser": ("chromium",),
    "vm": ("netem",),
}
_skipped: list[tuple[str, str]] = []


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", "requires(name, ...): needs these programs or kernel features of the machine")
    config.addinivalue_line("markers", "chaostoolkit: what chaostoolkit's version may change; run on both locked versions")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what the machine cannot run, before any fixture is made."""
    missing = sorted({name for name in _needs(item) if not _has(name)})
    if missing:
        pytest.skip(f"{_PREFIX}{', '.join(missing)}")


def _needs(item: pytest.Item) -> Iterator[str]:
    for mark in item.iter_markers("requires"):
        yield from mark.args
    for name, needs in _BY_MARK.items():
        if item.get_closest_marker(name):
            yield from needs


_known: dict[str, bool] = {}


def _has(name: str) -> bool:
    if not _known:
        from chaosnet.targets.lab.doctor import examine

        _known.update({check.name: check.ok for check in examine()})
        _known["root"] = os.geteuid() == 0
    if name not in _known:
        _known[name] = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None
    return _known[name]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember each skip."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _skipped.append((report.nodeid, reason.removeprefix("Skipped: ")))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in which something was skipped that need not be."""
    allowed = () if os.environ.get("CHAOSNET_TESTS_SKIP_NOTHING") else _ALLOWED
    if session.exitstatus == pytest.ExitCode.OK and any(not reason.startswith(allowed) for _, reason in _skipped):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the skips by reason."""
    if not _skipped:
        return
    terminalreporter.section("skipped, and why")
    for reason in sorted({reason for _, reason in _skipped}):
        tests = [test for test, why in _skipped if why == reason]
        mark = "" if reason.startswith(_ALLOWED) else "NOT ALLOWED: "
        terminalreporter.line(f"{mark}{reason}: {len(tests)} ({', '.join(tests[:3])}{', ...' if len(tests) > 3 else ''})")
