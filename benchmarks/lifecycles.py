"""Whole lives of backups, a thousand at once, through Google's Pub/Sub emulator and the deployed function.

`python -m benchmarks.lifecycles --counts 10 100` prints the table. Nothing is virtual here: pushes are HTTP, the
function is a process of its own, and a backup takes some seconds where it takes hours in production.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import timedelta

from backstop.events import ON_THE_WAY
from benchmarks.machine import quantile
from demo.stack import ROOT, Stack
from spanner_backup_emulator.spanner.plans import Plan

sys.path.append(str(ROOT / "packages/spanner-backup-emulator/tests"))

from collections.abc import Mapping

import google_pubsub

from demo.stack import Event

COUNTS = (10, 100, 1000)

STARTS_PER_S = 20.0
"""How fast they are begun: about what one instance's share of two processors carries with all that follows."""

BACKUP_S = 20.0
"""Longer than the messages take to be there, and short enough to wait for."""

LOOK_S = ("4s", "8s")
"""The bounds between two polls: a life takes a handful of them, as in production with progress."""

LIFE_S_MAX = 240.0
"""A life that has not ended by then has gone wrong."""

DATABASES = 20
"""In each instance."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One way for a life to go.

    Attributes:
        plan: What Spanner does.
        start: What the start must come to.
        cancel: What a cancel must come to that is published as soon as the start is told; empty for none.
        command: What the start says beside the database.
        remains: Whether there is a backup at the end.
    """

    plan: Plan
    start: Counter[str]
    cancel: Counter[str] = field(default_factory=Counter)
    command: Mapping[str, str] = field(default_factory=dict)
    remains: bool = False


_BACKUP = timedelta(seconds=BACKUP_S)
_LONG = timedelta(hours=1)
COMPLETES = Kind(Plan(duration=_BACKUP), Counter(("STARTED", "COMPLETED")), remains=True)
CANCELLED = Kind(
    Plan(duration=_LONG, cancel_duration=timedelta(seconds=1)),
    Counter(("STARTED", "CANCELLED")),
    Counter(("CANCEL_REQUESTED", "CANCELLED")),
)
TOO_LATE = Kind(
    Plan(duration=_BACKUP, cancel_duration=None),
    Counter(("STARTED", "COMPLETED_DESPITE_CANCEL")),
    Counter(("CANCEL_REQUESTED", "COMPLETED_THEN_DELETED")),
)
UNWANTED = Kind(
    Plan(duration=_LONG, cancel_duration=timedelta(seconds=1)),
    Counter(("STARTED", "CANCEL_REQUESTED", "CANCELLED")),
    command={"cancel_after": "5s"},
)
KINDS = (COMPLETES,) * 7 + (CANCELLED, TOO_LATE, UNWANTED)


@dataclass
class Life:
    """One backup's life.

    Attributes:
        kind: How it is to go.
        instance: Where its database is.
        begun_s: When its start was published, by the monotonic clock.
        ended_s: When its last outcome was seen.
        message_ids: Its start and, where there is one, its cancel.
        told: What each of them has come to.
    """

    kind: Kind
    instance: str
    begun_s: float = 0.0
    ended_s: float = 0.0
    message_ids: list[str] = field(default_factory=list)
    told: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    @property
    def complete(self) -> bool:
        """Whether every command has come to its last word."""
        expected = 2 if self.kind.cancel else 1
        last_words = sum(bool(told.keys() - ON_THE_WAY) for told in self.told.values())
        return len(self.message_ids) == expected and last_words == expected

    @property
    def right(self) -> bool:
        """Whether every command came to exactly what it should."""
        expected = [self.kind.start, self.kind.cancel] if self.kind.cancel else [self.kind.start]
        return [self.told[message_id] for message_id in self.message_ids] == expected


@dataclass(frozen=True, slots=True)
class Figures:
    """What so many lives came to.

    Attributes:
        count: How many there were.
        right: How many ended as they should, with nothing left in Spanner that should not be there.
        refused: Deliveries that the function refused.
        life_s: From a start's publication to its last outcome, in the middle.
        life_p99_s: And for one in a hundred, at least.
        deliveries: For each life.
        wall_s: All of it.
    """

    count: int
    right: int
    refused: int
    life_s: float
    life_p99_s: float
    deliveries: float
    wall_s: float


class Play:
    """Lets so many lives happen on a deployment of their own."""

    def __init__(self, stack: Stack, count: int) -> None:
        self._stack = stack
        self._lives: dict[str, Life] = {}
        self._by_message: dict[str, Life] = {}
        self._seen = 0
        self._ids: set[tuple[str, str]] = set()
        project = stack.commands.partition("/topics/")[0]
        for number in range(count):
            instance = f"{project}/instances/prod-{number // DATABASES}"
            database = f"{instance}/databases/orders-{number % DATABASES}"
            self._lives[database] = Life(KINDS[number % len(KINDS)], instance)
            stack.spanner.set_plan(database, self._lives[database].kind.plan)

    def run(self) -> Figures:
        """Starts them one after the other and sees them all to their ends."""
        begun_s = time.monotonic()
        for number, (database, life) in enumerate(self._lives.items()):
            while time.monotonic() < begun_s + number / STARTS_PER_S:
                self._look()
                time.sleep(0.01)
            life.begun_s = time.monotonic()
            self._send(life, {"action": "start", "database": database, **life.kind.command})
        end_s = time.monotonic() + LIFE_S_MAX
        while time.monotonic() < end_s and not all(life.complete for life in self._lives.values()):
            self._look()
            time.sleep(0.1)
        return self._figures(time.monotonic() - begun_s)

    def _send(self, life: Life, command: Mapping[str, str]) -> None:
        message_id = self._stack.publish(command)
        life.message_ids.append(message_id)
        self._by_message[message_id] = life

    def _look(self) -> None:
        """Takes in what was told, and cancels what is to be cancelled as soon as it has started."""
        events = self._stack.events()
        for event in events[self._seen :]:
            self._take(event)
        self._seen = len(events)

    def _take(self, event: Event) -> None:
        identity = (event.attributes["ce-id"], event.data["trigger"]["message_id"])
        if identity in self._ids:
            return  # what is delivered at least once may come twice, and says so
        self._ids.add(identity)
        message_id = event.data["trigger"]["message_id"]
        life = self._by_message[message_id]
        life.told[message_id][event.outcome] += 1
        life.ended_s = event.received_s
        if event.outcome == "STARTED" and life.kind.cancel:
            self._send(life, {"action": "cancel", "database": event.data["database"]})

    def _figures(self, wall_s: float) -> Figures:
        with self._stack.spanner.lock:
            remaining = Counter(one.message.database for one in self._stack.spanner.state.backups.values())
        lines = self._stack.function.lines
        lasted_s = [life.ended_s - life.begun_s for life in self._lives.values() if life.kind is COMPLETES]
        return Figures(
            count=len(self._lives),
            right=sum(
                life.right and remaining[database] == life.kind.remains for database, life in self._lives.items()
            ),
            refused=sum(line.get("severity") == "CRITICAL" or "again:" in line["message"] for line in lines),
            life_s=quantile(lasted_s, 0.5),
            life_p99_s=quantile(lasted_s, 0.99),
            deliveries=len(lines) / len(self._lives),
            wall_s=wall_s,
        )


def measure(counts: tuple[int, ...] = COUNTS) -> list[Figures]:
    """Lets each number of lives happen, on Google's Pub/Sub emulator or, where it is not installed, our own."""
    found = []
    settings = {"BACKSTOP_LOOK_MIN": LOOK_S[0], "BACKSTOP_LOOK_MAX": LOOK_S[1]}
    with contextlib.ExitStack() as closing:
        jar = google_pubsub.installed()
        address = closing.enter_context(google_pubsub.GooglePubSub(jar)).address if jar else None
        for count in counts:
            with Stack(settings, pubsub_address=address, project=f"projects/lives-{count}") as stack:
                found.append(Play(stack, count).run())
    return found


def row(figures: Figures) -> tuple[str, ...]:
    """The table's row."""
    return (
        f"{figures.count:,}",
        f"{figures.right:,}",
        str(figures.refused),
        f"{figures.life_s:.1f} s",
        f"{figures.life_p99_s:.1f} s",
        f"{figures.deliveries:.1f}",
        f"{figures.wall_s:.0f} s",
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lifecycles", description=__doc__)
    parser.add_argument("--counts", type=int, nargs="*", default=COUNTS)
    print("  lives     right   refused      life       p99  deliveries    all")
    for figures in measure(tuple(parser.parse_args().counts)):
        print("  ".join(f"{cell:>8}" for cell in row(figures)))


if __name__ == "__main__":
    main()
