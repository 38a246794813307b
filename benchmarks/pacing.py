"""Replays Backstop's pacing, and what people use instead, against thousands of operations that were made up.

`python -m benchmarks.pacing` prints the table; nothing here takes real time, and the same seed gives the same figures.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from backstop import lifecycle, polling
from backstop.events import Trigger
from backstop.followups import Intent, Poll
from backstop.names import DatabaseName, OperationName
from backstop.operations import Backup, Operation
from backstop.ports import Settings

EPOCH = datetime(2026, 11, 22, 2, tzinfo=UTC)
DATABASE = DatabaseName("projects/benchmark/instances/prod/databases/orders")
SEEDS = 1000
HOUR_S = 3600.0
LOOKS_MAX = 20_000
"""More polls than any policy makes in 3 days at 10 s; one that reaches it is broken."""


@dataclass(frozen=True, slots=True)
class Case:
    """One operation, as it will turn out.

    Attributes:
        number: Which one, for the operation's name and so its jitter.
        length_s: From its start to its end.
        earlier_s: The lengths of the database's earlier ones, of the last 7 days.
        progress: The percent shown at each time since the start, in seconds.
        cancel_s: When a cancel was asked for, since the start; None if none was.
    """

    number: int
    length_s: float
    earlier_s: tuple[float, ...]
    progress: Callable[[float], int]
    cancel_s: float | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One kind of operation.

    Attributes:
        title: What it is.
        medians_s: The shortest and the longest median length of a database, drawn evenly in the logarithm.
        variation: The standard deviation, of the logarithm, from day to day.
        history: Whether earlier operations are known.
        progress: The name of the model.
        delay_s: The longest time before the work begins, with no progress.
        cancel: When a cancel comes, as a part of the length; None for never.
        cancel_wins_s: How long a cancel takes, as a median; None for one that never wins.
    """

    title: str
    medians_s: tuple[float, float] = (HOUR_S, 4 * HOUR_S)
    variation: float = 0.2
    history: bool = False
    progress: str = "stuck at 0"
    delay_s: float = 0.0
    cancel: float | None = None
    cancel_wins_s: float | None = None


COLUMNS = (
    Column("informative progress", progress="linear"),
    Column("useless progress, history 20 %", history=True),
    Column("neither", history=False),
    Column("history 5 %", variation=0.05, history=True),
    Column("history 50 %", variation=0.5, history=True),
    Column("progress and history", progress="linear", history=True),
    Column("progress, 30 min delay", progress="linear", delay_s=1800, history=False),
    Column("progress jumps", progress="jumps"),
    Column("progress goes back", progress="goes back"),
    Column("progress sticks half-way", progress="sticks"),
    Column("10 min, neither", medians_s=(600, 600)),
    Column("10 min, progress", medians_s=(600, 600), progress="linear"),
    Column("12 h, neither", medians_s=(12 * HOUR_S, 12 * HOUR_S)),
    Column("12 h, progress", medians_s=(12 * HOUR_S, 12 * HOUR_S), progress="linear"),
    Column("cancel early, wins", cancel=0.05, cancel_wins_s=20),
    Column("cancel in the middle, wins", cancel=0.5, cancel_wins_s=60),
    Column("cancel near the end, loses", cancel=0.97),
)


def progress_model(name: str, length_s: float, delay_s: float, chance: random.Random) -> Callable[[float], int]:
    """A way in which progress may move."""
    work_s = max(length_s - delay_s, 1.0)
    wobble, phase = chance.uniform(0, 1.5), chance.uniform(0, 2 * math.pi)

    def linear(elapsed_s: float) -> int:
        part = max(elapsed_s - delay_s, 0) / work_s
        return max(0, min(99, int(100 * part + wobble * math.sin(phase + 9 * part))))

    models: dict[str, Callable[[float], int]] = {
        "linear": linear,
        "stuck at 0": lambda _elapsed_s: 0,
        "jumps": lambda elapsed_s: 25 * (linear(elapsed_s) // 25),
        "goes back": lambda elapsed_s: linear(elapsed_s) if elapsed_s < work_s / 2 else linear(elapsed_s) - 30,
        "sticks": lambda elapsed_s: min(linear(elapsed_s), 50),
    }
    return models[name]


def cases(column: Column, seed: int) -> Case:
    """The operation of this kind with this seed."""
    chance = random.Random(f"{column.title} {seed}")
    low, high = column.medians_s
    median_s = math.exp(chance.uniform(math.log(low), math.log(high)))

    def draw() -> float:
        return median_s * math.exp(chance.gauss(0, column.variation))

    earlier_s = tuple(draw() for _ in range(7)) if column.history else ()
    delay_s = chance.uniform(0, column.delay_s)
    full_s = draw() + delay_s
    progress = progress_model(column.progress, full_s, delay_s, chance)
    if column.cancel is None:
        return Case(seed, full_s, earlier_s, progress)
    cancel_s = full_s * column.cancel
    wins_s = math.inf if column.cancel_wins_s is None else column.cancel_wins_s * math.exp(chance.gauss(0, 1))
    return Case(seed, min(full_s, cancel_s + wins_s), earlier_s, progress, cancel_s)


Policy = Callable[[Case], Iterator[float]]
"""Gives the times of the polls, in seconds since the policy began to poll."""


def growing(first_s: float, factor: float, last_s: float) -> Policy:
    """What a polling library does: waits that grow by a factor up to a limit."""

    def polls(_case: Case) -> Iterator[float]:
        wait_s, at_s = first_s, 0.0
        while True:
            at_s += wait_s
            yield at_s
            wait_s = min(wait_s * factor, last_s)

    return polls


def backstop(case: Case) -> Iterator[float]:
    """The function's own pacing, through the code that schedules its polls."""
    name = OperationName(f"projects/benchmark/instances/prod/backups/orders-{case.number}/operations/op{case.number}")
    settings = Settings(follow_ups_topic="")
    begun_s = case.cancel_s or 0.0
    expected = polling.expectation([_ended(name, length_s) for length_s in case.earlier_s], DATABASE)
    poll = Poll(
        trigger=Trigger("1", EPOCH),
        step=0,
        operation=name,
        database=DATABASE,
        intent=Intent.KEEP if case.cancel_s is None else Intent.CANCEL,
        give_up_at=EPOCH + timedelta(days=9),
        expected_seconds=int(expected.length.total_seconds()) if expected else None,
        expected_spread=expected.spread if expected else polling.HISTORY_SPREAD,
    )
    at_s = begun_s
    while True:
        operation = Operation(
            name=name,
            backup=name.backup,
            database=DATABASE,
            start_time=EPOCH,
            percent=case.progress(at_s),
            cancel_time=None if case.cancel_s is None else EPOCH + timedelta(seconds=case.cancel_s),
        )
        seen = lifecycle.Case(poll, EPOCH + timedelta(seconds=at_s), operation)
        poll, wait = polling.after(seen, lifecycle.decide(seen), settings)
        at_s += wait.total_seconds()
        yield at_s - begun_s


def _ended(name: OperationName, length_s: float) -> Operation:
    """An operation of an earlier day that took this long."""
    made = Backup(name.backup, DATABASE, EPOCH, EPOCH)
    end_time = EPOCH + timedelta(seconds=length_s)
    return Operation(name, name.backup, DATABASE, start_time=EPOCH, end_time=end_time, response=made)


def oracle(case: Case) -> Iterator[float]:
    """The limit: one poll, right after the end."""
    yield case.length_s - (case.cancel_s or 0.0)


POLICIES: dict[str, Policy] = {
    "Backstop": backstop,
    "Python sample: every 300 s": growing(300, 1, 300),
    "Java and C# samples: 20 s x 1.5 to 45 s": growing(20, 1.5, 45),
    "C++ sample: 1 s x 2 to 5 min": growing(1, 2, 300),
    "Go sample: to 1 min": growing(1, 2, 60),
    "Ruby sample: 10 s x 1.3 to 5 min": growing(10, 1.3, 300),
    "Workflows connector: 1 s x 1.25 to 60 s": growing(1, 1.25, 60),
    "gcloud: every 10 s": growing(10, 1, 10),
    "oracle: one poll, in time": oracle,
}

ALTERNATIVES = tuple(name for name in POLICIES if name not in {"Backstop", "oracle: one poll, in time"})
"""What people use instead."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What Backstop must reach in one column, as means but for the percentile.

    Attributes:
        column: The column's title.
        polls: At most.
        lag_s: At most.
        polls_p99: At most, where there is such a bar.
    """

    column: str
    polls: float
    lag_s: float
    polls_p99: float = math.inf

    def met(self, figures: Figures) -> bool:
        """Whether these reach it."""
        within = figures.polls <= self.polls and figures.lag_s <= self.lag_s
        return within and figures.polls_p99 <= self.polls_p99


BARS = (
    Bar("informative progress", 12, 30, polls_p99=20),
    Bar("useless progress, history 20 %", 30, 75),
    Bar("neither", 40, 120),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a policy came to in one column.

    Attributes:
        polls: How many, on average.
        polls_p99: How many, in the 99th percentile.
        lag_s: From the operation's end to the poll that saw it, on average.
        lag_p99_s: The same in the 99th percentile.
    """

    polls: float
    polls_p99: float
    lag_s: float
    lag_p99_s: float


def replay(policy: Policy, column: Column, seeds: int = SEEDS) -> Figures:
    """Lets a policy poll each operation of a column until it has seen the end."""
    polls, lags = [], []
    for seed in range(seeds):
        case = cases(column, seed)
        end_s = case.length_s - (case.cancel_s or 0.0)
        for number, at_s in enumerate(policy(case), start=1):
            if at_s >= end_s or number > LOOKS_MAX:
                polls.append(number)
                lags.append(at_s - end_s)
                break
    return Figures(statistics.fmean(polls), _p99(polls), statistics.fmean(lags), _p99(lags))


def floor_s(column: Column, seeds: int = SEEDS) -> float:
    """What polls times lag can't be less than for whoever knows nothing: half of the time that is waited through.

    So many polls, spread evenly, leave half an interval of lag on average, and the interval is the time by the polls.
    Whoever knows something can be below it.
    """
    found = [cases(column, seed) for seed in range(seeds)]
    return statistics.fmean(case.length_s - (case.cancel_s or 0.0) for case in found) / 2


def better_in_both(table: dict[str, Figures]) -> list[str]:
    """The alternatives that make fewer polls than Backstop in a column and yet see the end sooner."""
    ours = table["Backstop"]
    return [name for name in ALTERNATIVES if table[name].polls <= ours.polls and table[name].lag_s <= ours.lag_s]


def measure(seeds: int = SEEDS) -> dict[str, dict[str, Figures]]:
    """All policies in all columns, by their titles."""
    return {
        column.title: {name: replay(policy, column, seeds) for name, policy in POLICIES.items()} for column in COLUMNS
    }


def _p99(values: list[float] | list[int]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pacing", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    for column in COLUMNS:
        print(column.title)
        for name, policy in POLICIES.items():
            if options.only in name:
                figures = replay(policy, column, options.seeds)
                print(
                    f"  {name:42} polls {figures.polls:7.1f} (p99 {figures.polls_p99:5.0f})"
                    f"   lag {figures.lag_s:7.1f} s (p99 {figures.lag_p99_s:6.0f})"
                )


if __name__ == "__main__":
    main()
