"""The page that the figures are read on: `docs/performance.md`. Its prose says what to conclude, bar by bar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks import cold_start, fleet, imports, lifecycles, memory, pacing, prose, throughput
from benchmarks.machine import description, median_ratio
from spanner_backup_emulator.quota import REQUESTS_PER_S


@dataclass(frozen=True, slots=True)
class All:
    """Everything that was measured.

    Attributes:
        machine: On what, when, and with which versions.
        note: What a reader must know about this run; empty for a whole one.
        cold: Cold starts.
        costs: What each import costs.
        weight: Memory.
        rates: Throughput.
        polls: The replay of the policies.
        floors_s: What polls times lag can't be less than without knowledge, by column.
        nights: The fleets, the smallest first.
        others: The largest fleet told in other ways and at other rates of the queue, by what they are.
        lives: Whole lifecycles.
        enter: From pressing Enter on a cancel to Spanner's having received it.
    """

    machine: list[tuple[str, str]]
    note: str
    cold: dict[str, cold_start.ColdStart]
    costs: list[imports.Cost]
    weight: memory.Memory
    rates: dict[str, throughput.Throughput]
    polls: dict[str, dict[str, pacing.Figures]]
    floors_s: dict[str, float]
    nights: list[fleet.Figures]
    others: dict[str, fleet.Figures]
    lives: list[lifecycles.Figures]
    enter: list[tuple[str, str, str]]


def bars(found: All) -> list[tuple[str, str, str, bool]]:
    """Each bar: what is measured, the bar, what came out, and whether that is within."""
    told = []
    for bar in pacing.BARS:
        ours = found.polls[bar.column]["Backstop"]
        tail = f" (99th percentile {bar.polls_p99:.0f})" if bar.polls_p99 < 1000 else ""
        text = f"{ours.polls:.1f} polls (99th percentile {ours.polls_p99:.0f}), {ours.lag_s:.0f} s"
        told.append((f"Pacing, {bar.column}", f"{bar.polls:.0f} polls{tail}, {bar.lag_s:.0f} s", text, bar.met(ours)))
    beaten = {title: better for title, table in found.polls.items() if (better := pacing.better_in_both(table))}
    told.append(("Pacing, columns in which an alternative is better in both", "0", str(len(beaten)), not beaten))
    bare, eager = found.cold[cold_start.REFERENCE], found.cold[cold_start.ALTERNATIVE]
    for title, one in found.cold.items():
        if title.startswith("Backstop"):
            to_bare, to_eager = median_ratio(one.wall_s, bare.wall_s), median_ratio(one.wall_s, eager.wall_s)
            told.append(
                (
                    f"Cold start: {title}, to the bare function",
                    str(cold_start.BARE_RATIO_MAX),
                    f"{to_bare:.2f}",
                    to_bare <= cold_start.BARE_RATIO_MAX,
                )
            )
            told.append(
                (
                    f"Cold start: {title}, to whole clients at the top",
                    str(cold_start.EAGER_RATIO_MAX),
                    f"{to_eager:.2f}",
                    to_eager <= cold_start.EAGER_RATIO_MAX,
                )
            )
    ratio, growth_mb = found.weight.ratio, found.weight.growth_mb
    told.append(
        (
            "Memory, to whole clients at the top",
            str(memory.EAGER_RATIO_MAX),
            f"{ratio:.2f}",
            ratio <= memory.EAGER_RATIO_MAX,
        )
    )
    deliveries = f"{found.weight.soak[-1][0]:,} deliveries"
    told.append((f"Memory, growth over {deliveries}", "5 MB", f"{growth_mb:+.1f} MB", growth_mb < memory.GROWTH_MB_MAX))
    night = found.nights[-1]
    spread = found.others[f"within ten minutes, {fleet.RATE:g}"]
    title = f"A night of {night.databases:,} backups: calls a second in the busiest 100 s"
    told.append((title, "5", f"{night.most_per_s:.2f}", night.most_per_s <= REQUESTS_PER_S))
    told.append(("The same night: calls refused for quota", "0", str(night.refused), not night.refused))
    told.append(("And told within ten minutes: calls refused", "0", str(spread.refused), not spread.refused))
    lives = found.lives[-1]
    whole = f"{lives.count:,} right, 0 refused"
    good = lives.right == lives.count and not lives.refused
    told.append(("Lifecycles at once", whole, f"{lives.right:,} right, {lives.refused} refused", good))
    return told


def page(found: All) -> str:
    """The whole page."""
    return (
        "\n\n".join(
            part.strip()
            for part in (
                prose.INTRODUCTION,
                found.note,
                table(
                    ("bar", "at most", "measured", ""),
                    ((*bar[:3], "met" if bar[3] else "**missed**") for bar in bars(found)),
                ),
                prose.CONCLUSION,
                table(("", ""), found.machine),
                prose.POLLS,
                _polls(found),
                prose.COLD,
                table(
                    (
                        "process start to first answer",
                        "median",
                        "range",
                        "to the bare function",
                        "to whole clients at the top",
                    ),
                    cold_start.rows(found.cold),
                ),
                prose.IMPORTS,
                table(("import", "time", "modules"), imports.rows(found.costs)),
                prose.COLD_COSTS,
                prose.MEMORY,
                _memory(found),
                prose.THROUGHPUT,
                table(
                    (
                        "one instance, emulators in other processes",
                        "deliveries per s",
                        "to publishing",
                        "to one call",
                        "alone, p50",
                        "8 at a time, p50",
                        "p99",
                    ),
                    throughput.rows(found.rates),
                ),
                prose.FLEETS,
                table(FLEET_HEAD, map(fleet.row, found.nights)),
                prose.FLEET_RATES,
                table(
                    ("told, dispatches per s", *FLEET_HEAD[1:]),
                    ((told, *fleet.row(night)[1:]) for told, night in found.others.items()),
                ),
                prose.FLEET_MEANING,
                prose.LIVES,
                table(
                    ("lives at once", "right", "deliveries refused", "a life, p50", "p99", "deliveries each", "all"),
                    map(lifecycles.row, found.lives),
                ),
                prose.ENTER,
                table(("typed", "median", "slowest of 15"), found.enter),
                prose.COSTS,
            )
            if part.strip()
        )
        + "\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> list[tuple[str, str]]:
    """On what, when, and with which versions."""
    return description()


def _polls(found: All) -> str:
    rows = []
    for title, figures in found.polls.items():
        ours = figures["Backstop"]
        near = ours.polls * ours.lag_s / found.floors_s[title]
        sooner = min((figures[name] for name in pacing.ALTERNATIVES), key=lambda one: one.polls * one.lag_s)
        name = next(name for name in pacing.ALTERNATIVES if figures[name] is sooner)
        rows.append(
            (
                title,
                f"{ours.polls:.1f} ({ours.polls_p99:.0f})",
                f"{ours.lag_s:.0f} s ({ours.lag_p99_s:.0f} s)",
                f"{near:.2f}",
                f"{name.partition(':')[0]}: {sooner.polls:.0f} polls, {sooner.lag_s:.0f} s",
                ", ".join(one.partition(":")[0] for one in pacing.better_in_both(figures)) or "nobody",
            )
        )
    head = ("operations", "polls (p99)", "lag (p99)", "to the floor", "best of the others", "better in both")
    return table(head, rows)


def _memory(found: All) -> str:
    weights = table(
        ("function", f"after {found.weight.soak[0][0]:,} deliveries"),
        ((title, f"{weight_mb:.1f} MB") for title, weight_mb in found.weight.first_mb.items()),
    )
    path = ", ".join(f"{weight_mb:.1f}" for _, weight_mb in found.weight.soak)
    last = found.weight.soak[-1][0]
    return f"{weights}\n\nOn the way to {last:,} deliveries, in equal parts, Backstop weighed {path} MB."


FLEET_HEAD = (
    "databases",
    "calls per s, busiest 100 s",
    "refused for quota",
    "all started",
    "all reported",
    "lag, p50",
    "lag, p99",
    "messages per backup",
    "calls per backup",
)
