"""Which faults happen: by a seed, or exactly those that are given.

Every decision has a *site*: a tuple of numbers that says where in the history it falls. A decision depends on the
seed and its own site only, never on how many were made before it, so a history with one step or one fault less is
otherwise much the same. That is what makes shrinking work.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from tests.simulation.faults import Faults

Site = tuple[int, ...]

COMMAND, FOLLOW_UP, DISPATCH, CALL, ANSWER, READ = range(6)
"""The kinds of site: a command's message, a follow-up's, a task, a call, an answer, what GetBackup says."""

TRANSIENT = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "ABORTED")

CALL_FAULTS = (
    "crash before",
    "crash after",
    *(f"{code} before" for code in TRANSIENT),
    *(f"{code} after" for code in TRANSIENT),
    "RESOURCE_EXHAUSTED before",
    "PERMISSION_DENIED before",
)
"""What an exhaustive search does to each call in turn; `slow` and `interleave` only matter among others."""

TOTAL_MAX = 0.5
"""Where more than every other call fails, nothing but failing can be seen."""

FAULTS_AT = {
    COMMAND: ("duplicate", "restamp", "delay", "poison"),
    FOLLOW_UP: ("duplicate", "delay", "poison"),
    DISPATCH: ("twice", "publish fails", "forget"),
    CALL: CALL_FAULTS,
    ANSWER: ("crash",),
    READ: ("missing", "blurred"),
}
"""Everything that can happen at a site of each kind."""

_MASK = 2**64 - 1


def unit(seed: int, site: Site, salt: int = 0) -> float:
    """A number from 0 to 1 that depends on nothing but its arguments, on any machine."""
    mixed = zlib.crc32(str((salt, site)).encode(), seed & 0xFFFFFFFF) + (seed >> 32 << 32) + 1
    mixed = mixed * 0x9E3779B97F4A7C15 & _MASK
    mixed = (mixed ^ mixed >> 29) * 0xBF58476D1CE4E5B9 & _MASK
    return (mixed ^ mixed >> 32) / 2**64


class Chance:
    """Decides about faults, and remembers which it let happen.

    Attributes:
        taken: The faults that happened, by site.
        asked: All sites, in order.
        last_at: When the last fault happened; None: none has.
    """

    def __init__(
        self, seed: int, faults: Faults, clock: Callable[[], datetime], only: Mapping[Site, str] | None = None
    ) -> None:
        """Takes the seed, the rates, a clock, and, to repeat a history, the faults in place of random ones."""
        self.seed = seed
        self.taken: dict[Site, str] = {}
        self.asked: list[Site] = []
        self.last_at: datetime | None = None
        self._only = only
        self._clock = clock
        self._tables = _tables(faults)
        self._quiet = False

    def heal(self) -> None:
        """Lets no fault happen from now on."""
        self._quiet = True

    def at(self, site: Site) -> str | None:
        """The fault that happens at a site, if any."""
        if self._quiet:
            return None
        self.asked.append(site)
        if self._only is not None:
            fault = self._only.get(site)
        else:
            total, table = self._tables[site[0]]
            drawn = unit(self.seed, site) if total else 1.0
            fault = next((name for limit, name in table if drawn < limit), None) if drawn < total else None
        if fault is not None:
            self.taken[site] = fault
            self.last_at = self._clock()
        return fault

    def spread(self, site: Site, low: float, high: float) -> float:
        """An amount between two positive bounds, each order of magnitude as likely as another."""
        return low * math.exp(unit(self.seed, site, 1) * math.log(high / low))


_Table = tuple[float, list[tuple[float, str]]]


def _tables(faults: Faults) -> dict[int, _Table]:
    message = [(faults.duplicate_rate, "duplicate"), (faults.delay_rate, "delay"), (faults.poison_rate, "poison")]
    halves = [
        (rate / 2, f"{code} {when}")
        for code, rate in zip(
            TRANSIENT,
            (faults.unavailable_rate, faults.deadline_rate, faults.internal_rate, faults.aborted_rate),
            strict=True,
        )
        for when in ("before", "after")
    ]
    calls = [
        (faults.crash_before_rate, "crash before"),
        (faults.crash_after_rate, "crash after"),
        *halves,
        (faults.quota_rate, "RESOURCE_EXHAUSTED before"),
        (faults.denied_rate, "PERMISSION_DENIED before"),
        (faults.slow_rate, "slow"),
        (faults.interleave_rate, "interleave"),
    ]
    return {
        COMMAND: _table([*message, (faults.restamp_rate, "restamp")]),
        FOLLOW_UP: _table(message),
        DISPATCH: _table(
            [(faults.twice_rate, "twice"), (faults.publish_fails_rate, "publish fails"), (faults.forget_rate, "forget")]
        ),
        CALL: _table(calls),
        ANSWER: _table([(faults.crash_answer_rate, "crash")]),
        READ: _table([(faults.missing_rate, "missing"), (faults.blurred_rate, "blurred")]),
    }


def _table(rates: Sequence[tuple[float, str]]) -> _Table:
    """Limits that add up; rates that are too much together keep their proportions."""
    total = sum(rate for rate, _ in rates)
    scale = min(1.0, TOTAL_MAX / total) if total else 1.0
    limits, reached = [], 0.0
    for rate, name in rates:
        if rate:
            reached += rate * scale
            limits.append((reached, name))
    return reached, limits
