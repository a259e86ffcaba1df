"""Text: the end of the run as a terminal shows it, without colour, 100 columns wide."""

from chaosnet.report import terminal
from chaosnet.report.record import RunRecord

FILE = "report.txt"


def render(record: RunRecord) -> str:
    """Verdict, the three answers and the timeline in characters."""
    return terminal.draw(record, 101)
