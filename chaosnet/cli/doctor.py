"""``chaosnet doctor``: what this machine can run, what not, why, and the one command that mends it.

A table of what :mod:`chaosnet.targets.lab.doctor` saw, and of what earlier runs left behind.  Mends nothing.
"""

import json
import sys
from typing import Any

import click


@click.command(short_help="What this machine can run, what not, and the mend.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(as_json: bool) -> None:
    """Try what the lab and its faults need of this machine, and look for what earlier runs left behind.

    Kernel features are tried for real, in namespaces of their own; nothing is changed.

    \b
    Exit: 0 the lab can run here · 2 it cannot · 4 a dead run left faults behind
    """
    from dataclasses import asdict

    from chaosnet.cli.status import survey
    from chaosnet.targets.lab.doctor import examine

    checks = examine()
    left = survey()
    stale = bool(left["orphans"] or left["unreadable"])
    blocked = [check.name for check in checks if check.essential and not check.ok]
    code = 4 if stale else 2 if blocked else 0
    if as_json:
        document = {
            "exit": code,
            "can_run_lab": not blocked,
            "checks": [asdict(check) for check in checks],
            "left": {key: left[key] for key in ("orphans", "unreadable")},
        }
        click.echo(json.dumps(document, ensure_ascii=False))
        sys.exit(code)
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "what", "found", "needed for"):
        table.add_column(title, overflow="fold")
    for check in checks:
        mark = "[green]ok[/]" if check.ok else "[red]NO[/]" if check.essential else "[yellow]no[/]"
        table.add_row(mark, check.name, _plain(check.found), check.needed)
    console = Console(highlight=False)
    console.print(table)
    for text in _advice(checks, left, blocked):
        console.print(text, markup=False, soft_wrap=True)
    sys.exit(code)


def _advice(checks: Any, left: dict[str, Any], blocked: list[str]) -> list[str]:
    """What to do, in the order in which to do it."""
    lines = [""]
    mends: dict[str, list[str]] = {}
    for check in checks:
        if not check.ok:
            mends.setdefault(check.mend, []).append(check.name)
    lines += [f"to get {', '.join(names)}:  {mend}" for mend, names in mends.items()]
    if left["orphans"]:
        lines.append(f"a dead run left {len(left['orphans'])} faults behind:  chaosnet undo --all")
    if left["unreadable"]:
        lines.append(f"tickets that cannot be read ({', '.join(left['unreadable'])}):  chaosnet panic")
    if blocked:
        lines.append("The lab cannot run here yet.")
    else:
        without = [check.needed for check in checks if not check.ok]
        lines.append(
            "The lab can run here"
            + (f", but for: {'; '.join(dict.fromkeys(without))}." if without else ", with everything in it.")
        )
    return lines


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
