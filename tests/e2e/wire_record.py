"""What the emulators saw of a deployment on the wire, in the words of the simulation's checker."""

from __future__ import annotations

from datetime import datetime, timedelta

from demo.stack import Stack
from spanner_backup_emulator.pubsub.model import Outcome, published_at
from spanner_backup_emulator.spanner.history import What
from tests.simulation.history import INSTANCE, Deployment
from tests.simulation.reading import body_of, trigger_of
from tests.simulation.record import Call, Delivery, Published, Record, Told, Waiting
from tests.simulation.rights import EFFECTS
from tests.support.ports import databases_of

PUBLISHED_WITHIN = timedelta(microseconds=999)
"""Publish times are cut to milliseconds, and what is told has been done before, not after."""


class StrayError(AssertionError):
    """Somebody changed something in Spanner on behalf of no command."""


def record_of(stack: Stack, began_at: datetime, healed_at: datetime, slack: timedelta) -> Record:
    """Everything that happened in the simulation's instance.

    A call doesn't say which delivery makes it. It is put down to one that was under way then, for a command that names
    the same database: where each database has one command, the checker can't tell the difference.

    Args:
        stack: The deployment, with nothing left to do.
        began_at: Before that, people have been at work, and nobody else.
        healed_at: When the faults stopped.
        slack: How long after the death of the function a call of its may be dealt with.

    Raises:
        StrayError: An effect can't be put down to any delivery.
    """
    assert stack.pubsub is not None
    record = Record(Deployment(), function_skew_s=0.0, faults_known=False)
    record.healed_at = record.quiet_from = healed_at
    record.ended_at = stack.spanner.now()
    record.events = stack.spanner.history()
    with stack.spanner.lock:
        record.databases = databases_of(stack.spanner.state, record.ended_at, INSTANCE)
    record.published = [
        Published(published_at(message), stack.commands, message) for message in stack.pubsub.published(stack.commands)
    ]
    pushes = sorted(stack.pubsub.outcomes(), key=lambda push: push.delivery.sent_at)
    record.deliveries = [_delivery(number, push) for number, push in enumerate(pushes)]
    told = stack.pubsub.published(stack.results)
    record.told = [Told(published_at(message) + PUBLISHED_WITHIN, -1, message) for message in told]
    for outcome in stack.tasks.outcomes():
        # When it first went out, in the whole seconds in which the queue tells when a task was made.
        record.dispatched.setdefault(outcome.task, outcome.dispatch_time.replace(microsecond=0))
    record.tasks = [
        Waiting(task.create_time, -1, task.name, task.schedule_time, task.http_request.body)
        for task in stack.tasks.created()
    ]
    _put_down_calls(record, began_at, slack)
    return record


def _delivery(number: int, push: Outcome) -> Delivery:
    sent = push.delivery
    topic, at = sent.subscription.topic, sent.sent_at
    return Delivery(number, sent.message, topic, sent.attempt, at, at, push.ended_at, push.status)


def _put_down_calls(record: Record, began_at: datetime, slack: timedelta) -> None:
    """Finds the delivery of each call that had an effect, or looked at a backup before one."""
    backed_up = {
        event.resource: record.databases[event.operation]
        for event in record.events
        if event.what is What.BACKUP_STARTED
    }
    bodies = {one.key: body_of(one.message.data) for one in record.published}
    since = 0
    for index, event in enumerate(record.events):
        if event.what is not What.CALLED:
            continue
        if event.cause in {*EFFECTS, "GetBackup"} and event.at >= began_at:
            database = record.databases.get(event.resource) or backed_up.get(event.resource, "")
            under_way = [
                delivery.number
                for delivery in record.deliveries
                if delivery.begin <= event.at <= delivery.end + slack
                and bodies[trigger_of(delivery.message)].get("database") == database
            ]
            effects = [one for one in record.events[since:index] if one.cause == event.cause]
            if effects and not under_way:
                raise StrayError(f"{event} belongs to no delivery")
            if under_way:
                number = len(record.calls)
                record.calls.append(Call(number, under_way[-1], event.cause, event.resource, event.at, since, index))
        since = index + 1
