"""What every handler has at hand, and what it hands back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backstop.errors import RefusedError
from backstop.follow_ups import FollowUp, Trigger, identity
from backstop.messages import encode_follow_up

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from backstop.lifecycle import State
    from backstop.names import BackupName
    from backstop.ports import Backup, Ports, Settings
    from backstop.results import ErrorText, Result


@dataclass(frozen=True, slots=True)
class At:
    """Where and when a delivery is worked on.

    Attributes:
        now: The time of the delivery.
        trigger: The command on whose behalf.
        ports: The outside world.
        settings: What the operator chose.
        told: The outcomes that this delivery has published, in order.
    """

    now: datetime
    trigger: Trigger
    ports: Ports
    settings: Settings
    told: list[Result] = field(default_factory=list)

    def tell(self, *results: Result) -> None:
        """Publishes outcomes, each with its own line in the log."""
        for result in results:
            self.ports.results.publish(result)
            self.told.append(result)

    def schedule(self, follow_up: FollowUp, wait: timedelta, again: str = "") -> timedelta:
        """Has a follow-up delivered after a wait, and returns the wait; `again` is as in `identity`."""
        self.ports.queue.schedule(identity(follow_up, again), encode_follow_up(follow_up), self.now + wait)
        return wait

    def find_backup(self, name: BackupName) -> Backup | None:
        """Reads a backup; None if Spanner says that there is none, which it may say by mistake once."""
        try:
            return self.ports.spanner.get_backup(name)
        except RefusedError as error:
            if error.code != "NOT_FOUND":
                raise
            return None


@dataclass(frozen=True, slots=True)
class Report:
    """What a delivery came to, for the log line and for the answer.

    Attributes:
        command: What was asked for: a command's action, or a follow-up's kind; `unknown` if it was not understood.
        results: The outcomes that were published, in order.
        operation: The operation that was polled, or its name where it could not be read.
        database: What it backs up.
        state: What it looked like.
        step: The poll's number.
        next_look: How long until the next follow-up is due; None if there is none.
        note: One sentence for a delivery that published no outcome.
        retry: Whether the delivery must be refused, so that Pub/Sub brings it again.
        error: What Google said, for a delivery that is retried later or refused.
        instance: The instance that a message is about which could not be understood.
        warning: Whether somebody may want to look, although nothing above says so.
    """

    command: str = "unknown"
    results: tuple[Result, ...] = ()
    operation: str | None = None
    database: str | None = None
    state: State | None = None
    step: int | None = None
    next_look: timedelta | None = None
    note: str = ""
    retry: bool = False
    error: ErrorText | None = None
    instance: str | None = None
    warning: bool = False
