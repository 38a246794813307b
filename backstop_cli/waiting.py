"""Waiting for a command's end: by its outcomes, or by reading Spanner where none are told."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from backstop.handlers import SWEPT_MAX
from backstop_cli import output
from backstop_cli.errors import ON_THE_WAY, Exit, exit_of, words
from backstop_cli.messages import Event
from backstop_cli.session import Session
from backstop_cli.spanner import Operation, Spanner

QUIET_S = 5.0
"""A sweep tells no end: it may be over when it has told something, and then nothing more for so long."""

OVER_S = 20.0
"""A command of which nothing waits or is told for so long is over: between two follow-ups lies one delivery."""

LOOK_S = 2.0
"""Between two looks at what is waited for: a tenth of Spanner's quota, and live enough for a bar."""

ONE_CHAIN = frozenset({"cancel", "follow"})
"""What has one end. A start or a sweep may have many, and whoever watches it later wasn't told how many."""

SWEPT = frozenset({"NOTHING_TO_CANCEL", "REJECTED", "GAVE_UP"})
"""The outcomes after which a sweep tells no other one."""

ABSENT: Mapping[str, tuple[float, str, str]] = {
    "start": (120.0, "GAVE_UP", "No such backup has begun; the log says why."),
    "follow": (10.0, "REJECTED", "There is nothing to be followed."),
    "cancel": (10.0, "NOTHING_TO_CANCEL", "Nothing ran that it could have stopped."),
}
"""After how many seconds without an operation a command has come to what, by the first word of its wish.

By then one has begun that is ever going to, unless Backstop is behind; and one that ran is in Spanner's list.
"""


class Source(Protocol):
    """Where outcomes come from."""

    def next(self, seconds: float) -> Event | None:
        """The next outcome; None if none comes in time."""


@dataclass
class Wait:
    """One command, until its end."""

    action: str  # What it asks for.
    message_id: str  # Its message.
    many: bool = False  # Whether it starts many backups.
    told: list[Event] = field(default_factory=list)  # The outcomes so far.
    last_s: float = field(default_factory=time.monotonic)  # When the last of them came.

    def take(self, event: Event) -> bool:
        """Takes in an outcome; whether it is one of this command."""
        if event.message_id != self.message_id:
            return False
        self.told.append(event)
        self.many = self.many or "databases" in event.data  # Whoever began to watch later wasn't told before.
        self.last_s = time.monotonic()
        return True

    @property
    def operation(self) -> str:
        """The operation that was told of last; empty if none was."""
        return next((str(one.data["operation"]) for one in reversed(self.told) if one.data.get("operation")), "")

    @property
    def operations(self) -> set[str]:
        """The operations that were told of."""
        return {str(one.data["operation"]) for one in self.told if one.data.get("operation")}

    def ends(self) -> list[Event]:
        """The command's last words, when it is over: one, or one for each backup of many."""
        last = self.last_words()
        if self.action == "sweep":
            final = [one for one in last if one.outcome in SWEPT]
            return final or (self.told if self.told and time.monotonic() - self.last_s > QUIET_S else [])
        if not self.many:
            return last
        for event in self.told:
            if "databases" in event.data:
                started = {str(name) for name in event.data["databases"]["started"]}
                ended = {str(one.data["database"]).rpartition("/")[2] for one in last if one.data.get("operation")}
                return [event, *last] if started <= ended else []
        return [one for one in last if not one.data.get("operation")]

    def last_words(self) -> list[Event]:
        """The last words so far, of the command or of one of its backups."""
        return [event for event in self.told if event.outcome not in ON_THE_WAY]

    def exit_code(self, wish: str, *, detailed: bool) -> Exit:
        """The worst of the ends, or of the last words of a command whose beginning was not seen."""
        last = self.ends() or self.last_words()
        codes = [exit_of(*event.said, wish, detailed=detailed) for event in last]
        partly = any(event.data.get("databases", {}).get("not_started") for event in last)
        return max([*codes, Exit.REFUSED if partly else Exit.AS_WISHED])


class Chains:
    """What of a command is still to come, as far as the queue says."""

    def __init__(self, session: Session, message_id: str) -> None:
        """Takes the command's message."""
        self._session, self._message_id = session, message_id
        self._alive_s, self._looked_s = time.monotonic(), float("-inf")
        self._known, self._trouble = False, ""

    def are_over(self, wait: Wait) -> bool:
        """Whether it is over; where the queue can't be read, its first last word counts, and silence says nothing."""
        if time.monotonic() - self._looked_s > LOOK_S:
            self._look()
        if wait.ends() and (wait.many or not self._known or wait.told[-1].data["trigger"].get("action") in ONE_CHAIN):
            return True
        return time.monotonic() - max(self._alive_s, wait.last_s) > OVER_S

    def _look(self) -> None:
        waiting, trouble = self._session.follow_ups()
        self._looked_s, self._known = time.monotonic(), self._known or waiting is not None
        if waiting is None or any(one.message_id == self._message_id for one in waiting):
            self._alive_s = self._looked_s
        if trouble and not self._trouble:
            output.err().print(f"Whether it is over can't be seen: {trouble}")
        self._trouble = trouble


class Rest:
    """What a sweep was to deal with and has told nothing of."""

    def __init__(self, chains: Chains, look: Callable[[], set[str]]) -> None:
        """Takes what of it is to come, and how to find the operations that it is to deal with."""
        self._chains, self._look = chains, look
        self._due: set[str] | None = None

    def left(self, wait: Wait) -> set[str]:
        """The operations, as Spanner said when the sweep first fell silent."""
        from google.api_core.exceptions import GoogleAPIError

        if self._due is None:
            try:
                self._due = self._look()
            except GoogleAPIError as error:
                output.err().print(f"What the sweep leaves can't be seen: {words(error)[1]}")
                self._due = set()
        return self._due - wait.operations

    def is_over(self, wait: Wait) -> bool:
        """Whether a sweep that has fallen silent is over: if it left something that it had room for, it may go on."""
        full = len(wait.operations) >= SWEPT_MAX or any(event.outcome in SWEPT for event in wait.told)
        return full or not self.left(wait) or self._chains.are_over(wait)


def until_over(
    wait: Wait,
    source: Source,
    seconds: float,
    show: Callable[[Event | None], None],
    is_over: Callable[[Wait], bool] = lambda _: True,
) -> bool:
    """Shows what comes until the command is over, which `is_over` may deny; False if the time was up first."""
    from google.api_core import exceptions

    end_s = time.monotonic() + seconds
    while not (wait.ends() and is_over(wait)):
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            return False
        try:
            event = source.next(min(left_s, 0.5))
        except (exceptions.ServiceUnavailable, exceptions.DeadlineExceeded, exceptions.RetryError):
            continue  # The connection is lost for a while.
        if event is None or wait.take(event):
            show(event)
    return True


class Reading:
    """Outcomes as Spanner lets them be guessed, where none are told."""

    def __init__(self, spanner: Spanner, message_id: str, find: Callable[[], Sequence[Operation]], wish: str) -> None:
        """Takes how to find the operations that the command may mean, and what it is judged by."""
        self._spanner, self._message_id, self._find, self._wish = spanner, message_id, find, wish
        self._operation: Operation | None = None
        self._begun_s = time.monotonic()

    def next(self, seconds: float) -> Event | None:
        """Looks once; takes as long as it was told to, or longer."""
        time.sleep(max(seconds, LOOK_S))
        if self._operation is None:
            return self._look_for_it()
        operation = self._spanner.operation(self._operation.name)
        if operation is None:
            return self._event("GONE", "Spanner doesn't know the operation any more.")
        self._operation = operation
        return self._ended(operation) if operation.done else None

    def _look_for_it(self) -> Event | None:
        found = self._find()
        if len(found) > 1:
            names = ", ".join(one.name for one in found)
            return self._event("REJECTED", f"Any of these may be meant: {names}. Name the operation.")
        if found:
            (self._operation,) = found
            return None if found[0].done else self._event("STARTED", f"{found[0].backup} is being made.")
        seconds, outcome, detail = ABSENT[self._wish.split()[0]]
        return self._event(outcome, detail) if time.monotonic() - self._begun_s > seconds else None

    def _ended(self, operation: Operation) -> Event | None:
        if operation.state == "CANCELLED":
            return self._event("CANCELLED", "The backup was cancelled.")
        if operation.state == "FAILED":
            return self._event("FAILED", operation.error)
        found = self._spanner.backup(operation.backup)
        there = found is not None and found.created == operation.made
        if self._wish != "cancel":
            word = "COMPLETED_DESPITE_CANCEL" if operation.cancelled else "COMPLETED"
            if there:
                return self._event(word, f"{operation.backup} is complete.")
            return self._event(word, f"{operation.backup} was complete, and is not there any more.", severity="WARNING")
        if not there:
            return self._event("COMPLETED_THEN_DELETED", f"{operation.backup} was complete, and has been deleted.")
        return None  # It is to be deleted, which takes Backstop's next look.

    def _event(self, outcome: str, detail: str, **more: str) -> Event:
        about = self._operation
        data: dict[str, object] = {
            "outcome": outcome,
            "detail": detail,
            "trigger": {"message_id": self._message_id},
            **more,
        }
        if about is not None:
            data |= {"operation": about.name, "backup": about.backup, "database": about.database}
        return Event(f"{self._message_id} {outcome}", "", data)
