"""How the percentage of an operation moves, chosen by the test.

Google promises whole percents from 0 to 100 and nothing else
(https://docs.cloud.google.com/spanner/docs/reference/rest/v1/OperationProgress, documented), so a client must bear
all of these.
"""

from __future__ import annotations

import enum

PERCENT_DONE = 100
_PERCENT_PEAK = 60
_PERCENT_DIP = 30


class ProgressModel(enum.StrEnum):
    """How progress moves between the operation's begin and its end."""

    LINEAR = "linear"
    STUCK = "stuck"
    JUMPS = "jumps"
    BACKWARDS = "backwards"
    MISSING = "missing"


def percent_at(model: ProgressModel, fraction: float) -> int:
    """What an operation reports that has done this part of its work.

    Args:
        model: The plan's choice. For `MISSING` nothing should be reported; the answer is 0.
        fraction: From 0.0 to 1.0. Outside that range it counts as the nearer end.

    Returns:
        Whole percents; 100 only from a fraction of 1.0 on.
    """
    fraction = min(max(fraction, 0.0), 1.0)
    if model is ProgressModel.LINEAR:
        return int(fraction * PERCENT_DONE)
    if model is ProgressModel.JUMPS:
        return PERCENT_DONE if fraction == 1.0 else int(fraction * 2) * (PERCENT_DONE // 2)
    if model is ProgressModel.BACKWARDS:
        if fraction < 0.5:
            return int(fraction * 2 * _PERCENT_PEAK)
        return _PERCENT_DIP + int((fraction * 2 - 1) * (PERCENT_DONE - _PERCENT_DIP))
    return 0
