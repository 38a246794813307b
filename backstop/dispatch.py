"""One delivery, from the request to the report: which handler it goes to, and what an error means.

What an error means depends on what is in hand. A command that Google refuses for good is rejected, in Google's own
words. A poll is never dropped for an error: a role taken away for an hour must not leave a backup behind, so it is
retried, less and less often, until its time is up. So is whatever an earlier delivery may have begun to carry out, if
all that is wrong is a role: to reject it would be to leave alone what was begun. A sweep and a dry run begin nothing.

Quota means "later", and never "failed": the message is retried through the queue. So is one that keeps meeting
transient faults, before the subscription gives up on it and moves it to the dead letters. A retry has a name of its
own: under its old one the queue would take it for a duplicate, and the chain would end in silence.
"""

import math
from collections.abc import Mapping
from dataclasses import replace as replace_report
from datetime import datetime, timedelta
from typing import assert_never

from msgspec.structs import replace

from backstop import handlers, policy, polling, sentences, start, wire
from backstop.commands import TARGETS, Cancel, Command, Follow, Start, Sweep
from backstop.errors import BadMessageError, CallError, RefusedError, TransientError, UnhandledOperationError
from backstop.events import Databases, Event, Outcome, Trigger, of_command
from backstop.execute import Context, Report
from backstop.followups import FanOut, FollowUp, Poll, Retry
from backstop.names import unquoted
from backstop.ports import Ports, Settings
from backstop.wire import Delivery

# From this delivery attempt on, a message that meets a transient fault is retried through the queue: the earliest that
# a subscription can give up on it is after 5. https://cloud.google.com/pubsub/docs/handling-failures (documented)
RETRY_FROM_ATTEMPT = 4

# How much longer a chain lasts whose last poll meets a fault that passes, as that poll bounds what a backup costs.
LAST_POLL_MARGIN = timedelta(hours=6)

# Refusals that are about us and pass when a role is given back; every other one is about what was asked for.
ROLE_MISSING = frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED"})


def receive(
    body: bytes, path: str, headers: Mapping[str, str], now: datetime, ports: Ports, settings: Settings
) -> tuple[Delivery, Report]:
    """Does what one HTTP request asks for; returns the message, as far as there is one, and what came of it."""
    delivery = wire.parse_delivery(body, path, headers, now)
    if delivery.is_event:
        note = f"This is an outcome, from {delivery.topic or 'nowhere'}; nothing is published of it, lest it never end."
        return delivery, Report(note=note, warning=True)
    if delivery.mistake is not None:
        return delivery, _not_understood(delivery.mistake, delivery, Context(now, _sender(delivery), ports, settings))
    return delivery, deliver(delivery, now, ports, settings)


def deliver(delivery: Delivery, now: datetime, ports: Ports, settings: Settings) -> Report:
    """Does what one delivery asks for, at a time by the function's clock.

    A delivery whose report says `retry` must be refused, every other one acknowledged.
    """
    # It can't be earlier than the message; a clock that is behind would have every poll due at once, again and again.
    now, sender = max(now, delivery.publish_time), _sender(delivery)
    try:
        message = _understood(delivery, settings)
    except BadMessageError as error:
        if delivery.is_follow_up and error.field == "v":
            # A newer revision wrote it and was taken back. It waits for one that knows it, or becomes a dead letter.
            return Report(retry=True, note=f"To be delivered again: {error}.")
        return _not_understood(error, delivery, Context(now, sender, ports, settings))
    if isinstance(message, Command):
        asked = {"requested_by": message.requested_by, "reason": message.reason}
        again = delivery.delivery_attempt != 1  # Without a dead-letter policy Pub/Sub doesn't say.
        context = Context(now, replace(sender, action=message.action, **asked), ports, settings, comes_again=again)
    else:
        context = Context(now, message.trigger, ports, settings, comes_again=True)
    try:
        report = _handled(message, context)
    except CallError as error:
        report = _after_error(message, error, delivery.delivery_attempt, context)
    kind = str(message.__struct_config__.tag)
    return replace_report(report, command=kind, trigger=context.trigger, events=tuple(context.published))


def _sender(delivery: Delivery) -> Trigger:
    return Trigger(delivery.message_id, delivery.publish_time, delivery.topic)


def _not_understood(error: BadMessageError, delivery: Delivery, context: Context) -> Report:
    """Publishes that a message can't be understood; it is acknowledged, as no retry can help."""
    read = wire.claims(delivery.data)
    action, instance = read.pop("action", "unknown"), read.pop("instance", None)
    event = Event(
        outcome=Outcome.REJECTED,
        detail=f"Could not understand message {delivery.message_id}: {error}.",
        trigger=context.trigger,
        subject=next((read[name] for name in TARGETS if name in read), instance or delivery.topic or "unknown"),
        field=error.field,
        **read,  # type: ignore[arg-type]  # texts that have the forms of these names
    )
    try:
        context.publish(event)
    except TransientError as fault:
        return _redeliver(fault)
    return Report(action, context.trigger, tuple(context.published), instance=instance)


def _understood(delivery: Delivery, settings: Settings) -> Command | FollowUp:
    if not delivery.is_follow_up:
        return wire.parse_command(delivery.data)
    if delivery.topic != unquoted(settings.follow_ups_topic):
        why = f"only a message from {settings.follow_ups_topic} may be one; this is from {delivery.topic or 'nowhere'}"
        raise BadMessageError(f"attributes.{wire.KIND_ATTRIBUTE}", wire.KIND_FOLLOW_UP, why)
    return wire.parse_follow_up(delivery.data)


def _handled(message: Command | FollowUp, context: Context) -> Report:  # noqa: PLR0911 one line for each kind of message
    if isinstance(message, Command) and (forbidden := policy.refusal(message, context.settings)):
        field, why = forbidden
        context.publish(of_command(Outcome.REJECTED, f"Refused: {why}", context.trigger, message, field=field))
        return Report()
    match message:
        case Start():
            return start.start(message, context)
        case Cancel():
            return handlers.cancel(message, context)
        case Follow():
            return handlers.follow(message, context)
        case Sweep():
            return handlers.sweep(message, context)
        case Poll():
            return handlers.poll(message, context)
        case FanOut():
            return start.fan_out(message, context)
        case Retry():
            return replace_report(_handled(message.command, context), step=message.step)
        case _:
            assert_never(message)


def _after_error(message: Command | FollowUp, error: CallError, attempt: int | None, context: Context) -> Report:
    """Has the message delivered again, rejects it, or requeues it, as said at the top of this file."""
    try:
        again = not _is_over(message, error, context) if attempt is None else attempt < RETRY_FROM_ATTEMPT
        if isinstance(error, TransientError) and again:
            return _redeliver(error)
        if isinstance(error, RefusedError) and not isinstance(message, Poll) and not _waits(message, error, attempt):
            return _reject(message, error, context)
        return _requeue(message, error, context)
    except TransientError as fault:
        return _redeliver(fault)


def _waits(message: Command | Retry | FanOut, error: RefusedError, attempt: int | None) -> bool:
    """Whether to wait for a missing role: an earlier delivery may have started or cancelled what nobody follows yet.

    A chain of starts that has yet to list its databases has begun nothing. Without a dead-letter policy Pub/Sub doesn't
    say whether there was an earlier delivery.
    """
    command = _command(message)
    if error.code not in ROLE_MISSING or isinstance(command, Sweep) or command.dry_run:
        return False
    is_first = message is command or (isinstance(message, FanOut) and message.left is None and not message.failures)
    return attempt != 1 or not is_first


def _reject(message: Command | Retry | FanOut, error: RefusedError, context: Context) -> Report:
    ours = isinstance(error, UnhandledOperationError)
    why = f"Did nothing: {error.explained}." if ours else f"Google refused: {error.explained}"
    context.publish(_ended(message, Outcome.REJECTED, why, error, context))
    return Report(error=error.failure)


def _ended(message: Command | Retry | FanOut, outcome: Outcome, why: str, error: CallError, context: Context) -> Event:
    """The last word on a command that could not be carried out, or not to its end."""
    databases = None
    if isinstance(message, FanOut) and message.left is not None:
        not_started = {**message.refused, **dict.fromkeys(message.left, start.reason(message, str(error)))}
        databases = Databases(message.started, not_started)
        why = f"{why.removesuffix('.')}." + f" Not known to be started: {', '.join(not_started)}." * bool(not_started)
    said = {"error": error.failure, "field": error.field, "databases": databases}
    return of_command(outcome, why, context.trigger, _command(message), **said)


def _requeue(message: Command | FollowUp, error: CallError, context: Context) -> Report:
    """Has a message delivered again later, through the queue, unless its time is up."""
    over = _is_over(message, error, context)
    if isinstance(message, Poll):
        if over:
            why = sentences.gave_up(message, message.percent, str(error))
            context.publish(sentences.of_poll(Outcome.GAVE_UP, why, message, error.failure))
            return Report(step=message.step)
    elif over:
        why = f"Could not be carried out in time: {error}."
        command = _command(message)
        if isinstance(command, Start) and not command.dry_run:
            why += " A backup that it may have started, and that no outcome tells of, is followed by nobody."
        context.publish(_ended(message, Outcome.GAVE_UP, why, error, context))
        return Report()
    later: FollowUp
    if isinstance(message, Command):
        later = Retry(trigger=context.trigger, step=1, command=message, failures=1)
    else:
        # A chain of starts goes on at its step: those that are left are the same.
        step = message.step + (not isinstance(message, FanOut))
        later = replace(message, step=step, failures=message.failures + 1)
    settings = context.settings
    spread_by = f"{context.trigger.message_id} {later.failures}"
    low = min(max(error.retry_after or timedelta(0), settings.poll_min), settings.poll_max)
    wait = polling.bounded(polling.wait_refused(later.failures), spread_by, low=low, high=settings.poll_max)
    context.schedule(later, wait, again="" if isinstance(later, Poll) else _period(context, wait))
    return Report(step=later.step, next_poll=wait, note=f"To be retried: {error}.", error=error.failure)


def _is_over(message: Command | FollowUp, error: CallError, context: Context) -> bool:
    """Whether a message's time is up."""
    if isinstance(message, Poll):
        margin = timedelta(0) if isinstance(error, RefusedError) else LAST_POLL_MARGIN
        return context.now >= message.give_up_at + margin
    return context.now >= context.trigger.publish_time + context.settings.give_up_after


def _period(context: Context, wait: timedelta) -> str:
    """The period in which something is due that is retried now, at most half as long as it waits.

    So what waits in the same period already was made before and has not come yet: it will see all that has been begun,
    and one is enough. What was made for an earlier period may have come and gone before something was begun. (The time
    is that of the delivery; one whose calls are slow makes its retry some seconds later, which only two deliveries of
    one message at the same time could notice.)
    """
    length_s = 2 ** int(math.log2(max(wait.total_seconds() / 2, 1.0)))
    return f"{length_s} s, {int((context.now + wait).timestamp()) // length_s}"


def _command(message: Command | Retry | FanOut) -> Command:
    return message.command if isinstance(message, Retry | FanOut) else message


def _redeliver(error: CallError) -> Report:
    return Report(retry=True, note=f"To be delivered again: {error}.", error=error.failure)
