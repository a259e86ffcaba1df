"""The chaostoolkit control: opens the session of a run before the experiment, closes it with a verdict after the rollbacks.

List it once in an experiment; plain ``chaos run`` then gets everything but the supervising parent of ``chaosnet run``::

    controls:
      - name: chaosnet
        provider: {type: python, module: chaosnet.control}

chaostoolkit swallows what a control raises, except InterruptExecution, and never fails a run for a failed action; so this
control stops the run when a fault was not applied, and marks the journal as deviated when the verdict is not ``pass``:
``chaos`` then exits 1.  It does not decide the verdict (:mod:`chaosnet.engine.assess`).
"""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from chaoslib.exceptions import InterruptExecution

from chaosnet.engine import session as sessions
from chaosnet.engine.session import Session
from chaosnet.errors import ChaosnetError
from chaosnet.model.target import Target
from chaosnet.report import shelf
from chaosnet.targets import open_target

__all__ = [
    "after_activity_control",
    "after_experiment_control",
    "after_hypothesis_control",
    "after_method_control",
    "before_experiment_control",
    "before_method_control",
    "cleanup_control",
]
logger = logging.getLogger("chaostoolkit")


class _Run:
    """What this process holds open: the target, and where in the experiment we are."""

    def __init__(self) -> None:
        self.target: Target | None = None
        self.session: Session | None = None
        self.phase = "before"
        self.in_method = False


_run = _Run()


def before_experiment_control(context: dict[str, Any]) -> None:
    """Open the session; a run that cannot have one is interrupted before anything happens."""
    global _run
    _run = _Run()
    out = Path(os.environ.get("CHAOSNET_OUT") or sessions.folder_for(str(context.get("title", ""))))
    try:
        file = _experiment_file()
        _run.target = open_target(os.environ.get("CHAOSNET_TARGET", "lab"), lab=_lab(context, file))
        _run.session = Session.open(_run.target, context, file, out, os.environ.get("CHAOSNET_PLACEBO") == "1")
    except ChaosnetError as error:
        out.mkdir(parents=True, exist_ok=True)
        refusal = {"exit": error.exit, "error": type(error).__name__, "sentence": str(error)}
        (out / "refused.json").write_text(json.dumps(refusal), encoding="utf-8")
        _close()
        raise InterruptExecution(f"chaosnet: {error}") from error
    sessions.make_current(_run.session)


def before_method_control(context: dict[str, Any]) -> None:
    """From here on, failed actions stop the run."""
    _run.in_method = True
    _run.phase = "during"


def after_method_control(context: dict[str, Any], state: list[dict[str, Any]]) -> None:
    """The rollbacks' actions may fail without skipping the rollbacks after them."""
    _run.in_method = False


def after_hypothesis_control(context: dict[str, Any], state: dict[str, Any]) -> None:
    """Keep what the hypothesis said, probe by probe.

    "During" counts only while a fault is there.  Under chaostoolkit's strategy ``continuously`` it is asked over and over: what
    did not hold once did not hold.
    """
    session, phase = _run.session, _run.phase
    if session is None or state is None or (phase == "during" and all(fault.undone for fault in session.faults)):
        return
    met = state.get("steady_state_met") if getattr(session.hypothesis, phase) is not False else False
    probes = {str(probe.get("activity", {}).get("name", "")): probe.get("tolerance_met") for probe in state.get("probes", [])}
    failed = {name: False for name, seen in session.probes.items() if seen.get(phase) is False}
    session.note_hypothesis(phase, met, probes | failed)


def after_activity_control(context: dict[str, Any], state: dict[str, Any]) -> None:
    """Stop the run when an action of the method failed: what follows would be measured against a fault that is not there."""
    failed = state is not None and state.get("status") == "failed"
    if _run.session is None or not _run.in_method or not failed or context.get("type") != "action":
        return
    session = _run.session
    why = str((state.get("exception") or ["it gave no reason"])[-1]).strip()
    if not (session.refused or session.baseline_unmet or any(not run.proven for run in session.faults)):
        session.refused = f"the action {context.get('name')!r} failed: {why}"
        session.save()
    raise InterruptExecution(f"chaosnet stops the run: the action {context.get('name')!r} failed: {why}")


def after_experiment_control(
    context: dict[str, Any], state: dict[str, Any], configuration: Any = None, secrets: Any = None
) -> None:
    """Drain the ledger, wait for recovery, judge, report; anything but ``pass`` marks the journal as deviated."""
    session = _run.session
    if session is None:
        return
    try:
        status = str(state.get("status"))
        stopped = session.refused or session.baseline_unmet or any(not run.proven for run in session.faults)
        cut_short = f"chaostoolkit ended it as {status}" if status in ("interrupted", "aborted") and not stopped else ""
        record = session.close_out(cut_short, rerun=lambda: _ask_again(context, configuration, secrets))
        shelf.write(session.out)
        state["chaosnet"] = {"verdict": str(record["verdict"]), "exit": record["exit"], "report": record["report"]}
        if record["verdict"] != "pass":
            state["deviated"] = True
        logger.info("chaosnet: %s; report: %s", record["verdict"], record["report"])
        for finding in record["findings"]:
            if finding["outcome"] != "pass":
                logger.warning("chaosnet: %s: %s", finding["outcome"], finding["sentence"])
    except Exception as error:
        # chaostoolkit would swallow this and report success; the journal must not.
        state["deviated"] = True
        logger.error("chaosnet: the run could not be closed: %s", error, exc_info=not isinstance(error, ChaosnetError))


def cleanup_control() -> None:
    """Undo what is still in place, then let go of the target; chaostoolkit calls this whatever happened."""
    _close()


def _close() -> None:
    if _run.session is not None:
        try:
            _run.session.undo(by="end of process")
        except ChaosnetError as error:
            logger.error("chaosnet: %s", error)
    if _run.target is not None:
        _run.target.close()
    _run.target = _run.session = None
    sessions.make_current(None)


def _ask_again(context: dict[str, Any], configuration: Any, secrets: Any) -> None:
    """The hypothesis once more, after recovery: chaostoolkit itself never looks after the rollbacks."""
    from chaoslib.hypothesis import run_steady_state_hypothesis
    from chaoslib.run import EventHandlerRegistry

    _run.phase = "after"
    run_steady_state_hypothesis(context, configuration, secrets, None, event_registry=EventHandlerRegistry())


def _experiment_file() -> str:
    """The experiment's own path: chaostoolkit does not tell a control, so from our environment, or the command line."""
    told = os.environ.get("CHAOSNET_FILE", "")
    if told:
        return told
    files = [word for word in sys.argv[1:] if word.endswith((".yaml", ".yml", ".json")) and Path(word).is_file()]
    return files[-1] if files else ""


def _lab(context: dict[str, Any], file: str) -> str:
    """A running lab's name or a topology file: from the environment, else the experiment's own."""
    from chaosnet.engine.experiment import parse_spec

    return os.environ.get("CHAOSNET_LAB") or parse_spec(context, file).lab
