"""The chain of polls of one operation: how it goes on, and how it is given up."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from backstop import pacing
from backstop.lifecycle import Intent, Outcome, intent_now
from backstop.results import ErrorText, Result

if TYPE_CHECKING:
    from datetime import datetime

    from backstop.context import At
    from backstop.follow_ups import Look
    from backstop.ports import Operation


def limit(cancel_after: timedelta | None, operation: Operation, asked: datetime) -> datetime | None:
    """From when on an operation is unwanted if it still runs: never before the command was there to say so."""
    return None if cancel_after is None else max(operation.start_time + cancel_after, asked)


def give_up_at(operation: Operation, at: At) -> datetime:
    """When a chain ends: counted from the later of the operation's start and the command."""
    return max(operation.start_time, at.trigger.publish_time) + at.settings.give_up_after


def next_wait(at: At, look: Look, operation: Operation) -> timedelta:
    """How long until the next look at an operation that runs; never past the moment at which it becomes unwanted."""
    elapsed = max(at.now - operation.start_time, timedelta(0))
    before = None
    if look.percent is not None and look.percent_seconds:
        before = pacing.Sighting(look.percent, timedelta(seconds=look.percent_seconds))
    expected = None
    if look.expected_seconds:
        expected = pacing.Expectation(timedelta(seconds=look.expected_seconds), look.expected_spread)
    since_cancel = None
    if operation.cancel_time is not None:
        since_cancel = max(at.now - operation.cancel_time, timedelta(0))
    elif intent_now(look.intent, look.cancel_at, operation, at.now) is Intent.CANCEL:
        since_cancel = timedelta(0)
    wait = pacing.wait_running(pacing.Sighting(operation.percent, elapsed), before, expected, since_cancel)
    wait = bounded(at, look, wait)
    if look.intent is Intent.KEEP and look.cancel_at is not None and look.cancel_at > at.now:
        wait = min(wait, look.cancel_at - at.now)
    return wait


def following(at: At, look: Look, operation: Operation) -> Look:
    """The poll that comes after this one; it remembers the highest progress and when that was first seen."""
    seen = look.seen_running or not operation.done
    following = replace(look, step=look.step + 1, failures=0, seen_running=seen)
    if look.percent is not None and operation.percent <= look.percent:
        return following
    elapsed = max(at.now - operation.start_time, timedelta(0))
    return replace(following, percent=operation.percent, percent_seconds=int(elapsed.total_seconds()))


def poll_again(at: At, look: Look, operation: Operation, wait: timedelta, why: str, *told: Result) -> timedelta | None:
    """Schedules the next poll, publishes what is to be told, and returns the wait.

    Past the give-up time it publishes that instead, and why it came to it.
    """
    if at.now >= look.give_up_at:
        at.tell(*told, give_up(at, look, why, operation))
        return None
    at.schedule(following(at, look, operation), wait)
    at.tell(*told)
    return wait


def give_up(at: At, look: Look, why: str, operation: Operation | None = None, error: ErrorText | None = None) -> Result:
    """The last word of a chain that has come to its give-up time."""
    percent = operation.percent if operation else look.percent
    seen = f"; progress was {percent} % when last seen" if percent else ""
    return Result(
        outcome=Outcome.GAVE_UP,
        detail=f"Stopped following {look.operation} after {look.step} looks: {why}{seen}. It needs a person now.",
        trigger=at.trigger,
        subject=look.operation.backup,
        operation=look.operation,
        backup=look.operation.backup,
        database=look.database,
        error=error,
        create_time=operation.start_time if operation else None,
        end_time=operation.end_time if operation else None,
        steps=look.step,
    )


def bounded(at: At, look: Look, wait: timedelta) -> timedelta:
    """A wait within the operator's bounds, spread by the look's own name."""
    name = f"{look.operation} {look.step}"
    return pacing.bounded(wait, name, low=at.settings.look_min, high=at.settings.look_max)
