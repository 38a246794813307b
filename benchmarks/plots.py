"""The page's two plots: lag against polls for all policies, and calls per second over a night."""

from __future__ import annotations

from benchmarks import fleet, pacing
from benchmarks.page import All
from benchmarks.plot import Axis, Point, points, steps

_POLLS_TICKS = tuple((value, f"{value:g}") for value in (5, 10, 20, 50, 100, 200, 500, 1000))
_LAG_TICKS = tuple((value, f"{value:g} s") for value in (5, 10, 20, 50, 100, 200))

_LABELS = {
    "Python sample": (True, 0),
    "C++ sample": (False, 14),
    "Go sample": (True, 0),
    "Java and C# samples": (True, 0),
    "gcloud": (True, 8),
}
"""Where labels would lie on each other: whether they are on the left of their points, and how far they are raised."""


def pacing_plot(found: All) -> str:
    """Lag against polls: the alternatives, which use no knowledge, and Backstop with more and less of it."""
    blind = "neither"
    marks = []
    for name in pacing.ALTERNATIVES:
        figures, short = found.polls[blind][name], name.partition(":")[0]
        left, raised = _LABELS.get(short, (False, 0))
        marks.append(Point(figures.polls, figures.lag_s, short, left=left, raised=raised))
    for bar in pacing.BARS:
        ours = found.polls[bar.column]["Backstop"]
        marks.append(Point(ours.polls, ours.lag_s, f"Backstop, {bar.column}", colour=0))
    floor_s = found.floors_s[blind]
    curve = [Point(polls, floor_s / polls, "") for polls in (floor_s / 180, floor_s / 3.5)]
    x = Axis("polls at one backup of 1 to 4 hours, on average", 5, 1200, _POLLS_TICKS, logarithmic=True)
    y = Axis("lag from the end to the outcome", 3, 220, _LAG_TICKS, logarithmic=True)
    return points(
        "Fewer polls and less lag: further down and to the left is better",
        x,
        y,
        marks,
        [("the floor without knowledge", curve)],
    )


def fleet_plot(found: All) -> str:
    """Calls per second, for the largest and the second largest fleet."""
    lines = [
        (
            f"{night.databases:,} databases",
            [Point(part * fleet.SPLIT_S / 3600, per_s, "") for part, per_s in enumerate(night.per_s)],
        )
        for night in reversed(found.nights[-2:])
    ]
    hours = max(len(night.per_s) for night in found.nights) * fleet.SPLIT_S / 3600
    x = Axis("the clock", 0, hours, [(hour, f"{(2 + hour) % 24:02}:00") for hour in range(0, int(hours) + 1, 2)])
    y = Axis("administrative calls per second, in 100 s", 0, 6, [(value, str(value)) for value in range(7)])
    return steps("A night of starts at 02:00: never over 5 calls a second", x, y, lines)
