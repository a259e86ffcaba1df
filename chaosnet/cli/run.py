"""``chaosnet run``: run experiments under supervision, with live progress, a verdict and a report.

Options to orders, endings to words and exit status; the work is :mod:`chaosnet.cli.supervise`.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from chaosnet.cli import frame, progress
from chaosnet.errors import ChaosnetError, InputError, Refused
from chaosnet.model.verdict import worst_exit

if TYPE_CHECKING:
    from chaosnet.cli.supervise import Ended


@click.command(short_help="Run experiments: inject, prove, undo, judge, report.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--target", type=click.Choice(["lab", "memory", "kubernetes"]), default="lab", show_default=True, help="Where.")
@click.option("--lab", default="", metavar="FILE|NAME", help="A topology file, or the name of a running lab.")
@click.option("--context", "contexts", multiple=True, metavar="NAME=KUBECONTEXT", help="Bind a cluster's name (kubernetes).")
@click.option("--out", default="", metavar="DIR", help="Folder for events, record and reports [default: chaosnet-runs/...].")
@click.option("--placebo", is_flag=True, help="Do everything but the fault: shows that the experiment can tell.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.option("--quiet", is_flag=True, help="No progress; the verdict only.")
def command(
    files: tuple[str, ...], target: str, lab: str, contexts: tuple[str, ...], out: str, placebo: bool, as_json: bool, quiet: bool
) -> None:
    """Run each experiment FILE: find the baseline, inject, prove the fault, watch, undo, look for residue, judge.

    \b
    Exit: 0 pass · 1 fail · 2 refused, nothing touched · 3 inconclusive · 4 residue · 5 internal error

    \b
    Examples:
      chaosnet run experiments/incidents/mtu-black-hole.yaml
      chaosnet run --json --out /tmp/drill experiments/incidents/*.yaml
      chaosnet run --placebo my-drill.yaml      # must end inconclusive
    """
    from chaosnet.cli.supervise import Order, reported, stopped_early, supervise
    from chaosnet.engine.experiment import parse_spec
    from chaosnet.engine.session import folder_for
    from chaosnet.validate import load

    if contexts and target != "kubernetes":
        raise InputError("--context", f"{contexts[0]!r} has no meaning on the {target} target", "use it with --target kubernetes")
    endings: list[Ended] = []
    stopped = ""
    for number, file in enumerate(files):
        try:
            if stopped:
                raise Refused(f"{file}: not run, for {stopped} was received")
            title = check(file, target, lab)
            folder = _folder(out, file, number, len(files)) or folder_for(title)
            if not quiet:
                _people(f"{'' if number == 0 else chr(10)}{frame.printable(title)}")
            own = lab or os.environ.get("CHAOSNET_LAB", "") or parse_spec(load(file), file).lab
            ended = supervise(Order(file, target, own, folder, placebo), _nothing if quiet else progress.show)
        except ChaosnetError as error:
            ended = reported(error)
        except KeyboardInterrupt:  # while the file was read: what comes later takes signals itself
            ended = stopped_early("SIGINT")
        stopped = stopped or ended.stopped
        endings.append(ended)
        _report(ended)
    code = worst_exit(ending.exit for ending in endings)
    if as_json:
        runs = [_document(ending, file) for ending, file in zip(endings, files, strict=True)]
        with _unheard(sys.stdout):
            click.echo(json.dumps(runs[0] if len(runs) == 1 else {"exit": code, "runs": runs}, ensure_ascii=False))
    sys.exit(code)


def check(file: str, target: str = "lab", lab: str = "") -> str:
    """The experiment's title, once it has been found valid; InputError with the first problem otherwise."""
    from chaosnet.validate import first_problem

    return first_problem(file, target, lab)


def _nothing(event: dict[str, Any]) -> None:
    return None


def _folder(out: str, file: str, number: int, of: int) -> Path | None:
    if not out:
        return None
    return Path(out) if of == 1 else Path(out) / f"{number + 1:02d}-{Path(file).stem}"


def _document(ended: "Ended", file: str) -> dict[str, Any]:
    if ended.record is not None:
        return ended.record
    return {"verdict": None, "exit": ended.exit, "experiment": {"file": file}, "error": ended.sentence, "faults": []}


def _report(ended: "Ended") -> None:
    """The end of one run, for people."""
    if ended.record is None:
        _people(f"chaosnet: {frame.printable(ended.sentence)}")
        return
    from chaosnet.report import shelf, terminal

    folder = Path(ended.record["report"]).parent
    shelf.write(folder)
    _people("")
    with _unheard(sys.stderr):
        terminal.show(folder)


def _people(text: str) -> None:
    with _unheard(sys.stderr):
        click.echo(text, err=True)


@contextmanager
def _unheard(stream: TextIO) -> Iterator[None]:
    """Whoever read the stream may have gone: the run's exit status is still its own."""
    try:
        yield
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
