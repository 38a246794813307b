"""One delivery, from the message to the report: who handles it, and what an error means.

What an error means depends on what is in hand. A command that Google refuses for good is rejected, in Google's own
words. A follow-up is never dropped for an error: a role taken away for an hour must not leave a backup behind, so it
is put back, less and less often, until its time is up. The same goes for a command that an earlier delivery may have
begun to carry out, if all that is wrong is a role: to reject it would be to leave alone what was begun.

Quota means "later", and never "failed": the message is put back through the queue. So is one that keeps meeting
transient faults, before the subscription gives up on it and moves it to the dead letters. A put-back has a name of its
own: under its old one the queue would take it for a duplicate, and the chain would end in silence.
"""

from __future__ import annotations

import math
from dataclasses import replace as replace_report
from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

from msgspec.structs import replace

from backstop import handlers, messages, pacing, policy, starts
from backstop.chain import give_up
from backstop.commands import Cancel, Command, Follow, Start, Sweep
from backstop.context import At, Report
from backstop.errors import BadMessageError, CallError, RefusedError, TransientError, UnhandledOperationError
from backstop.follow_ups import FanOut, FollowUp, Look, PutBack, Trigger
from backstop.lifecycle import Outcome
from backstop.names import unquoted
from backstop.results import Databases, ErrorText, Result, of_command
from backstop.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from backstop.messages import Delivery
    from backstop.ports import Ports, Settings

PUT_BACK_FROM_ATTEMPT = 4
"""From this delivery attempt on, a message that meets a transient fault is put back rather than refused.

The earliest that a subscription can give up on a message is after 5 attempts.
https://cloud.google.com/pubsub/docs/handling-failures (documented)
"""


LAST_LOOK_MARGIN = timedelta(hours=6)
"""How much longer a chain lasts whose last look meets a fault that passes, as that look bounds what a backup costs."""

ROLE_MISSING = frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED"})
"""Refusals that are about us and pass when a role is given back; every other one is about what was asked for."""


def receive(
    body: bytes, path: str, headers: Mapping[str, str], now: datetime, ports: Ports, settings: Settings
) -> tuple[Delivery, Report]:
    """Does what one HTTP request asks for, whatever it holds.

    Returns:
        The message, as far as there is one, and what came of it.
    """
    delivery = messages.parse_delivery(body, path, headers, now)
    if delivery.is_outcome:
        note = f"This is an outcome, from {delivery.topic or 'nowhere'}; none is told of it, as that would never end."
        return delivery, Report(note=note, warning=True)
    if delivery.mistake is not None:
        trigger = Trigger(delivery.message_id, delivery.publish_time, delivery.topic)
        return delivery, _not_understood(delivery.mistake, delivery, At(now, trigger, ports, settings))
    return delivery, deliver(delivery, now, ports, settings)


def deliver(delivery: Delivery, now: datetime, ports: Ports, settings: Settings) -> Report:
    """Does what one delivery asks for.

    Args:
        delivery: What arrived.
        now: When it arrived, by the function's clock.
        ports: The outside world.
        settings: What the operator chose.

    Returns:
        What it came to. A delivery whose report says `retry` must be refused, every other one acknowledged.
    """
    # It can't be earlier than the message; a clock that is behind would have every look due at once, again and again.
    now = max(now, delivery.publish_time)
    trigger = Trigger(delivery.message_id, delivery.publish_time, delivery.topic)
    at = At(now, trigger, ports, settings)
    try:
        message = _understood(delivery, settings)
    except BadMessageError as error:
        if delivery.is_follow_up and error.field == "v":
            # A newer revision wrote it and was taken back. It waits for one that knows it, or becomes a dead letter.
            return Report(retry=True, note=f"To be delivered again: {error}.")
        return _not_understood(error, delivery, at)
    if isinstance(message, Look | PutBack | FanOut):
        at = At(now, message.trigger, ports, settings)
    try:
        report = _handled(message, at)
    except CallError as error:
        report = _after_error(message, error, delivery.delivery_attempt, at)
    return replace_report(report, command=str(message.__struct_config__.tag), results=tuple(at.told))


def _not_understood(error: BadMessageError, delivery: Delivery, at: At) -> Report:
    """Tells that a message can't be understood; it is acknowledged, as no retry can help."""
    read = messages.claims(delivery.data)
    result = Result(
        outcome=Outcome.REJECTED,
        detail=f"Could not understand message {delivery.message_id or '(no id)'}: {error}.",
        trigger=at.trigger,
        subject=read.operation or read.backup or read.database or read.instance or delivery.topic or "unknown",
        field=error.field,
        operation=read.operation,
        backup=read.backup,
        database=read.database,
    )
    try:
        at.tell(result)
    except TransientError as fault:
        return _refuse(fault)
    return Report(read.action or "unknown", tuple(at.told), instance=read.instance)


def _understood(delivery: Delivery, settings: Settings) -> Command | FollowUp:
    if not delivery.is_follow_up:
        return messages.parse_command(delivery.data)
    if delivery.topic != unquoted(settings.follow_ups_topic):
        raise BadMessageError(
            f"attributes.{messages.KIND_ATTRIBUTE}",
            messages.KIND_FOLLOW_UP,
            f"only a message from {settings.follow_ups_topic} may be one; this came from {delivery.topic or 'nowhere'}",
        )
    return messages.parse_follow_up(delivery.data)


def _handled(message: Command | FollowUp, at: At) -> Report:  # noqa: PLR0911 one line for each kind of message
    if isinstance(message, Command) and (forbidden := policy.refusal(message, at.settings.policy)):
        told = of_command(Outcome.REJECTED, f"Refused: {forbidden.why}", at.trigger, message)
        at.tell(replace(told, field=forbidden.field))
        return Report()
    match message:
        case Start():
            return starts.start(message, at)
        case Cancel():
            return handlers.cancel(message, at)
        case Follow():
            return handlers.follow(message, at)
        case Sweep():
            return sweep(message, at)
        case Look():
            return handlers.look_again(message, at)
        case FanOut():
            return starts.fan_out_step(message, at)
        case PutBack():
            return replace_report(_handled(message.command, at), step=message.step)
        case _:
            assert_never(message)


def _after_error(message: Command | FollowUp, error: CallError, attempt: int | None, at: At) -> Report:
    """Refuses, rejects, or puts back, as said at the top of this file."""
    try:
        if isinstance(error, TransientError) and (attempt is None or attempt < PUT_BACK_FROM_ATTEMPT):
            return _refuse(error)
        if (
            isinstance(error, RefusedError)
            and not isinstance(message, Look)
            and not (error.code in ROLE_MISSING and _may_have_begun(message, attempt))
        ):
            return _reject(message, error, at)
        return _put_back(message, error, at)
    except TransientError as fault:
        return _refuse(fault)


def _may_have_begun(message: Command | PutBack | FanOut, attempt: int | None) -> bool:
    """Whether an earlier delivery may have started or cancelled something that nobody follows yet.

    A chain of starts that has yet to list its databases has begun nothing. Without a dead-letter policy Pub/Sub doesn't
    say whether there was an earlier delivery.
    """
    command = _command(message)
    if isinstance(command, Sweep) or command.dry_run:
        return False
    is_first = message is command or (isinstance(message, FanOut) and message.left is None and not message.failures)
    return attempt != 1 or not is_first


def _reject(message: Command | PutBack | FanOut, error: RefusedError, at: At) -> Report:
    ours = isinstance(error, UnhandledOperationError)
    why = f"Did nothing: {error.message}." if ours else f"Google refused: {starts.said(error)}"
    result = replace(_ended(message, Outcome.REJECTED, why, error, at), field=error.field)
    at.tell(result)
    return Report(error=result.error)


def _ended(message: Command | PutBack | FanOut, outcome: Outcome, why: str, error: CallError, at: At) -> Result:
    """The last word on a command that could not be carried out, or not to its end."""
    result = of_command(outcome, why, at.trigger, _command(message), ErrorText(error.code, error.message))
    if isinstance(message, FanOut) and message.left is not None:
        not_started = {**message.refused, **dict.fromkeys(message.left, starts.reason(message, str(error)))}
        return replace(result, databases=Databases(message.started, not_started))
    return result


def _put_back(message: Command | FollowUp, error: CallError, at: At) -> Report:
    said = ErrorText(error.code, error.message)
    if isinstance(message, Look):
        margin = timedelta(0) if isinstance(error, RefusedError) else LAST_LOOK_MARGIN
        if at.now >= message.give_up_at + margin:
            at.tell(give_up(at, message, str(error), error=said))
            return Report(step=message.step)
    elif at.now >= at.trigger.publish_time + at.settings.give_up_after:
        why = f"Could not be carried out in time: {error}."
        command = _command(message)
        if isinstance(command, Start) and not command.dry_run:
            why += " A backup that it may have started, and that no outcome tells of, is followed by nobody."
        at.tell(_ended(message, Outcome.GAVE_UP, why, error, at))
        return Report()
    if isinstance(message, Look | PutBack):
        later: FollowUp = replace(message, step=message.step + 1, failures=message.failures + 1)
    elif isinstance(message, FanOut):
        later = replace(message, failures=message.failures + 1)
    else:
        later = PutBack(trigger=at.trigger, step=1, command=message, failures=1)
    spread_by = f"{at.trigger.message_id} {later.failures}"
    low = min(max(error.retry_after or timedelta(0), at.settings.look_min), at.settings.look_max)
    wait = pacing.bounded(pacing.wait_refused(later.failures), spread_by, low=low, high=at.settings.look_max)
    at.schedule(later, wait, again="" if isinstance(later, Look) else _period(at, wait))
    return Report(step=later.step, next_look=wait, note=f"Put back: {error}.", error=said)


def _period(at: At, wait: timedelta) -> str:
    """The period in which something is due that is put back now, at most half as long as it waits.

    So what waits in the same period already was made before and has not come yet: it will see all that has been begun,
    and one is enough. What was made for an earlier period may have come and gone before something was begun. (The time
    is that of the delivery; one whose calls are slow makes its put-back some seconds later, which only two deliveries
    of one message at the same time could notice.)
    """
    length_s = 2 ** int(math.log2(max(wait.total_seconds() / 2, 1.0)))
    return f"{length_s} s, {int((at.now + wait).timestamp()) // length_s}"


def _command(message: Command | PutBack | FanOut) -> Command:
    return message.command if isinstance(message, PutBack | FanOut) else message


def _refuse(error: CallError) -> Report:
    return Report(retry=True, note=f"To be delivered again: {error}.", error=ErrorText(error.code, error.message))
