"""Verdicts: a lattice, not a boolean; each finding carries the sentence it rests on.

``pass`` < ``inconclusive`` < ``fail``: of several findings the greatest wins.  Judging is pure: the facts come in, the
verdict goes out, so that an old run can be judged again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What a run ends with."""

    PASS = "pass"
    INCONCLUSIVE = "inconclusive"
    FAIL = "fail"


_RANK = {Outcome.PASS: 0, Outcome.INCONCLUSIVE: 1, Outcome.FAIL: 2}

# Exit statuses of the command line, and which wins when a run has several reasons: 4 > 5 > 1 > 3 > 2 > 0.
EXIT_PASS, EXIT_FAIL, EXIT_USAGE, EXIT_INCONCLUSIVE, EXIT_RESIDUE, EXIT_INTERNAL = 0, 1, 2, 3, 4, 5
_EXIT_RANK = {
    code: rank for rank, code in enumerate((EXIT_PASS, EXIT_USAGE, EXIT_INCONCLUSIVE, EXIT_FAIL, EXIT_INTERNAL, EXIT_RESIDUE))
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason for the verdict.  ``about`` is effect, scope, hypothesis, recovery, residue, baseline, run or expectation."""

    outcome: Outcome
    about: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome and every finding behind it, gravest first."""

    outcome: Outcome
    findings: tuple[Finding, ...]


def judge(findings: Iterable[Finding]) -> Verdict:
    """The gravest of the findings; with none at all ``inconclusive``, for nothing was shown."""
    ordered = tuple(sorted(findings, key=lambda finding: -_RANK[finding.outcome]))
    return Verdict(ordered[0].outcome if ordered else Outcome.INCONCLUSIVE, ordered)


def exit_status(outcome: Outcome) -> int:
    """The exit status of an outcome that has no graver reason."""
    return {Outcome.PASS: EXIT_PASS, Outcome.INCONCLUSIVE: EXIT_INCONCLUSIVE, Outcome.FAIL: EXIT_FAIL}[outcome]


def worst_exit(codes: Iterable[int]) -> int:
    """Of several exit statuses the one to end with; unknown ones count as internal errors."""
    return max((code if code in _EXIT_RANK else EXIT_INTERNAL for code in codes), key=_EXIT_RANK.__getitem__, default=0)
