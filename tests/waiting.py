"""Waiting for what comes to hold soon and announces itself to nobody."""

from __future__ import annotations

import time
from collections.abc import Callable

WAIT_S_MAX = 90.0
"""Nothing here takes more than a few seconds; only what is stuck takes this, on however busy a machine."""


def wait_until(condition: Callable[[], object], timeout_s: float = WAIT_S_MAX, found: object = None) -> None:
    """Waits until something holds, and shows what was found instead; the failing test's name says what is awaited."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, f"this did not come to hold in {timeout_s} s: {condition}; found: {found}"
        time.sleep(0.05)
