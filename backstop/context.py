"""What every handler has at hand, and what it hands back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backstop.follow_ups import FollowUp, Trigger, identity
from backstop.messages import encode_follow_up

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from backstop.lifecycle import State
    from backstop.ports import Ports, Settings
    from backstop.results import ErrorText, Result


@dataclass(frozen=True, slots=True)
class At:
    """Where and when a delivery is worked on.

    Attributes:
        now: The time of the delivery.
        trigger: The command on whose behalf.
        ports: The outside world.
        settings: What the operator chose.
    """

    now: datetime
    trigger: Trigger
    ports: Ports
    settings: Settings


@dataclass(frozen=True, slots=True)
class Report:
    """What a delivery came to, for the log line and for the answer.

    Attributes:
        command: What was asked for: a command's action, or a follow-up's kind; `unknown` if it was not understood.
        results: The outcomes that were told, in order.
        operation: The operation that was looked at, or its name where it could not be read.
        database: What it backs up.
        state: What it looked like.
        step: The look's number.
        next_look: How long until the next follow-up is due; None if there is none.
        note: One sentence for a delivery that told no outcome.
        retry: Whether the delivery must be refused, so that Pub/Sub brings it again.
        error: What Google said, for a delivery that is put back or refused.
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


def tell(at: At, *results: Result) -> tuple[Result, ...]:
    """Publishes outcomes and hands them on for the report."""
    for result in results:
        at.ports.results.publish(result)
    return results


def schedule(at: At, follow_up: FollowUp, wait: timedelta, again: str = "") -> timedelta:
    """Has a follow-up delivered after a wait, and returns the wait; `again` is as in `identity`."""
    at.ports.queue.schedule(identity(follow_up, again), encode_follow_up(follow_up), at.now + wait)
    return wait
