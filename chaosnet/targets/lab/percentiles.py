"""Percentiles of measured times, by the nearest rank: always a value that was really seen.  Nothing else."""

import math
from collections.abc import Sequence


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that ``share`` (0 to 1) of the ascending ``ordered`` does not exceed; 0.0 where there is none."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
