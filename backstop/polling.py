"""When to poll again.

Theory. A poll costs one call; a late poll costs lag. If an operation ends within the next second with probability h,
polling every s seconds costs 1/s polls and h·s/2 seconds of lag each second, and the sum, with one poll worth
`POLL_WORTH` of lag, is least for s = √(2 · POLL_WORTH / h). So all that is needed is h, the hazard, and it comes from
what is known of the operation's length: a log-normal distribution around the best guess at hand.

1. Progress, if it has moved the way a steady operation's would: elapsed time over the part done.
2. Otherwise the lengths of the same database's earlier operations.
3. Otherwise what Spanner's documentation says of all of them.

A cancel usually takes effect within seconds and may take forever, so after one the polls come at times that grow in
proportion to the time since the cancel, but stay close for the first minutes, and never later than without it.
"""

import hashlib
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from msgspec.structs import replace

from backstop.followups import Intent, Poll
from backstop.lifecycle import Case, Decision, State, intent_of
from backstop.names import DatabaseName
from backstop.operations import Operation
from backstop.ports import Settings

WAIT_SHORTEST = timedelta(seconds=1)  # A delay of less than this is lost in the time that a message takes anyway.

# The queue remembers a follow-up's name for a day, and a chain that sleeps longer could fork.
# https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#createtaskrequest (documented)
WAIT_LONGEST = timedelta(days=1)

# How much lag one poll less is worth. It sets the scale of everything here, and the benchmark shows what it buys.
POLL_WORTH = timedelta(seconds=2.5)

# How far backups of one database usually differ in length, as a standard deviation of the logarithm.
HISTORY_SPREAD = 0.2

PROGRESS_SPREAD_MIN = 0.01  # Progress comes in whole percents, so it never says more than this.
PROGRESS_OFF_UNKNOWN = 6.0  # Percent that a progress is taken to be off its line where no earlier one was seen.
DOUBT_MAX = 0.2  # Progress that can be trusted no better says less than the documentation, and would be overslept.
STUCK_PERCENT = 2.0  # How far behind its line a progress that doesn't move may be, as it comes in whole percents.
WAIT_STEP = 1.15  # Waits are told apart no finer than by this factor, as the jitter is a tenth either way.
JITTER = 0.1  # The part of a wait by which operations that started together are spread.
CANCEL_GROWTH = 0.5  # Each poll after a cancel waits this part of the time since it, or of the time it was blocked.
RETRY_FIRST = timedelta(minutes=1)  # The first wait after Google refused a follow-up; it doubles with each refusal.

# What lasts longer than its guess shows that the guess was bad, so it is never taken to be further off than this many
# standard deviations; otherwise an operation that hangs would be polled thousands of times. Fewer, and a first backup
# of half a day would be told later than by those who poll every five minutes.
SURPRISE_MAX = 2.5

# The longest wait in the first minutes after a cancel, and how long these are: by then it has nearly always taken
# effect if it ever does. All who poll every 45 s would be told sooner otherwise.
CANCEL_WAIT_MAX, CANCEL_SOON = timedelta(seconds=40), timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Expectation:
    """How long an operation should take, and how far off that may be, as a standard deviation of the logarithm."""

    length: timedelta
    spread: float


# Without history: most backups take 1 to 4 hours, so most lie within a factor of two around 2 hours.
# https://cloud.google.com/spanner/docs/backup#performance (documented: the 1 to 4 hours; inferred: the rest)
UNKNOWN = Expectation(timedelta(hours=2), 0.8)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A progress of 0 to 100 that was seen, and how long after the operation's start."""

    percent: int
    elapsed: timedelta


def expectation(operations: Sequence[Operation], database: DatabaseName) -> Expectation | None:
    """How long a backup of this database takes, judging by those that succeeded; None if none did."""
    good = [one for one in operations if one.database == database and one.response is not None]
    lengths_s = [(one.end_time - one.start_time).total_seconds() for one in good if one.end_time is not None]
    if not lengths_s:
        return None
    middle_s = max(median(lengths_s), 1.0)
    # Few lengths say little of how they vary, so the usual spread counts as if it had been seen twice.
    squares = [math.log(max(length_s, 1.0) / middle_s) ** 2 for length_s in lengths_s]
    variance = (sum(squares) + 2 * HISTORY_SPREAD**2) / (len(squares) + 2)
    return Expectation(timedelta(seconds=middle_s), math.sqrt(variance * (1 + 1 / len(squares))))


def after(case: Case, decision: Decision, settings: Settings) -> tuple[Poll, timedelta]:
    """The poll that comes after this one, and how long it waits.

    It remembers what this one has seen: the highest progress and when that was first seen, what was missing, and which
    outcomes on the way have been published.
    """
    poll, operation = case.poll, case.operation
    outcome = decision.rule.outcome
    told = poll.told if outcome is None or outcome in poll.told else (*poll.told, outcome)
    later = replace(poll, step=poll.step + 1, failures=0, told=told, missing=None)
    if operation is None:
        return replace(later, missing="operation"), _bounded(case, timedelta(0), settings)
    if decision.guard is not None:
        return replace(later, missing=None if case.found else "backup"), _bounded(case, timedelta(0), settings)
    elapsed = max(case.now - operation.start_time, timedelta(0))
    if poll.percent is None or operation.percent > poll.percent:
        later = replace(later, percent=operation.percent, percent_seconds=int(elapsed.total_seconds()))
    if decision.state is State.BLOCKED:
        since = case.now - operation.end_time if operation.end_time else timedelta(0)
        return later, _bounded(case, max(since, timedelta(0)) * CANCEL_GROWTH, settings)
    seen_running = poll.seen_running or not operation.done
    return replace(later, seen_running=seen_running), wait_of(case, operation, settings)


def wait_of(case: Case, operation: Operation, settings: Settings) -> timedelta:
    """How long until the next poll of an operation that runs; never past the moment at which it becomes unwanted."""
    poll = case.poll
    seen = Sighting(operation.percent, max(case.now - operation.start_time, timedelta(0)))
    before = expected = since_cancel = None
    if poll.percent is not None and poll.percent_seconds:
        before = Sighting(poll.percent, timedelta(seconds=poll.percent_seconds))
    if poll.expected_seconds:
        expected = Expectation(timedelta(seconds=poll.expected_seconds), poll.expected_spread or HISTORY_SPREAD)
    if operation.cancel_time is not None:
        since_cancel = max(case.now - operation.cancel_time, timedelta(0))
    elif intent_of(case) is Intent.CANCEL:
        since_cancel = timedelta(0)
    wait = _bounded(case, wait_running(seen, before, expected, since_cancel), settings)
    if poll.intent is Intent.KEEP and poll.unwanted_from is not None and poll.unwanted_from > case.now:
        wait = min(wait, poll.unwanted_from - case.now)
    return wait


def wait_running(
    seen: Sighting, before: Sighting | None, expected: Expectation | None, since_cancel: timedelta | None
) -> timedelta:
    """How long to wait before polling an operation that runs.

    It is given the progress now and when the last other one was first seen, how long it should take, judging by earlier
    ones, and the time since a cancel was asked for; each but the first if there is any.
    """
    guess = expected or UNKNOWN
    doubt = _doubt(seen, before)
    if doubt < min(guess.spread, DOUBT_MAX):
        guess = Expectation(seen.elapsed * 100 / (seen.percent + 0.5), doubt)
    elapsed_s, length_s = seen.elapsed.total_seconds(), max(guess.length.total_seconds(), 1.0)
    spread = max(guess.spread, math.log(max(elapsed_s, 1.0) / length_s) / SURPRISE_MAX)
    wait = _best_interval(elapsed_s, length_s, spread)
    if since_cancel is None:
        return wait
    soon = since_cancel * CANCEL_GROWTH
    return min(wait, soon, CANCEL_WAIT_MAX) if since_cancel < CANCEL_SOON else min(wait, soon)


def wait_refused(failures: int) -> timedelta:
    """How long to wait after Google refused a follow-up for the `failures`-th time in a row, counted from 1."""
    return RETRY_FIRST * math.ldexp(1, min(failures - 1, 20))


def bounded(wait: timedelta, name: str, *, low: timedelta, high: timedelta) -> timedelta:
    """A wait within its bounds, longer or shorter by up to a tenth in a way that depends on the name only."""
    fraction = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) / 2**32
    return min(max(wait * (1 + JITTER * (2 * fraction - 1)), low), high)


def _bounded(case: Case, wait: timedelta, settings: Settings) -> timedelta:
    """A wait within the operator's bounds, spread by the poll's own name."""
    name = f"{case.poll.operation} {case.poll.step}"
    return bounded(wait, name, low=settings.poll_min, high=settings.poll_max)


def _doubt(seen: Sighting, before: Sighting | None) -> float:
    """How far the progress can be trusted: the spread of the length that it suggests, as a standard deviation.

    It is what whole percents leave open, and how far the progress is off the line from the start through the one
    seen before. A progress that sticks or goes back says nothing.
    """
    if not 0 < seen.percent < 100:
        return math.inf
    off = PROGRESS_OFF_UNKNOWN
    if before is not None and before.percent > 0:
        off = abs(seen.percent - before.percent * (seen.elapsed / before.elapsed))
        if seen.percent <= before.percent and off > STUCK_PERCENT:
            return math.inf
    return max(math.hypot(0.5, off) / seen.percent, PROGRESS_SPREAD_MIN)


def _best_interval(elapsed_s: float, length_s: float, spread: float) -> timedelta:
    """The interval of the theory above, but no further than to where the hazard begins.

    Where the hazard is next to nothing the formula would sleep past the end; so the wait is the shortest of those
    that the formula gives for each moment slept through. It is found among the powers of `WAIT_STEP` by halving, as a
    hazard falls more slowly than time passes, so that the longer the wait, the more its lag is sure to cost.
    """
    longest_s, worth_s = 4 * max(length_s, elapsed_s), 2 * POLL_WORTH.total_seconds()

    def lag_s(power: int) -> float:
        wait_s: float = WAIT_STEP**power
        return wait_s * wait_s * hazard(elapsed_s + wait_s, length_s, spread)

    powers = range(math.ceil(math.log(longest_s, WAIT_STEP)))
    return timedelta(seconds=WAIT_STEP ** bisect_left(powers, worth_s, key=lag_s))


def hazard(elapsed_s: float, length_s: float, spread: float) -> float:
    """The probability, per second, that an operation that has lasted so long ends now; a second is the shortest."""
    z = math.log(elapsed_s / length_s) / spread
    survival = 0.5 * math.erfc(z / math.sqrt(2))
    if survival < 1e-9:
        # Far beyond every guess; the tail of a normal distribution tends to z.
        return z / (spread * elapsed_s)
    density = math.exp(-z * z / 2) / (math.sqrt(2 * math.pi) * spread * elapsed_s)
    return max(density / survival, 1e-12)
