"""The one place with an effect on an operation or a backup: act, schedule, publish, in this order.

Dying anywhere on the way means that the message comes again, and that doing it again is harmless.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from msgspec import structs

from backstop import polling, sentences
from backstop.commands import IfCreated
from backstop.errors import RefusedError
from backstop.events import Outcome, of_operation
from backstop.followups import FollowUp, Intent, identity
from backstop.lifecycle import Action, Case, decide, intent_of
from backstop.wire import encode_follow_up

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from backstop.events import Event, Trigger
    from backstop.followups import Poll
    from backstop.lifecycle import Decision, State
    from backstop.names import BackupName
    from backstop.operations import Backup, Failure, Operation
    from backstop.ports import Ports, Settings

TOO_LATE = {
    Action.CANCEL: frozenset({"FAILED_PRECONDITION", "NOT_FOUND"}),
    Action.DELETE: frozenset({"FAILED_PRECONDITION"}),
}
"""Refusals that say that the operation, or the backup, isn't as it was read: one more fact, and no error."""


@dataclass(frozen=True, slots=True)
class Context:
    """Where and when a delivery is handled.

    Attributes:
        now: The time of the delivery.
        trigger: The command on whose behalf.
        ports: The outside world.
        settings: What the operator chose.
        published: The events that this delivery has published, in order.
    """

    now: datetime
    trigger: Trigger
    ports: Ports
    settings: Settings
    published: list[Event] = field(default_factory=list)

    def publish(self, *events: Event) -> None:
        """Publishes events, each with its own line in the log."""
        for event in events:
            self.ports.events.publish(event)
            self.published.append(event)

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
        trigger: The command on whose behalf; None if there is none.
        events: The events that were published, in order.
        operation: The operation that was polled, or its name where it could not be read.
        database: Its database.
        instance: The instance that a message is about which could not be understood.
        state: What the operation looked like.
        step: The follow-up's number.
        next_poll: How long until the next follow-up is due; None if there is none.
        note: One sentence for a delivery that published nothing.
        retry: Whether the delivery must be refused, so that Pub/Sub delivers it again.
        error: What Google said, for a delivery that is retried later or refused.
        warning: Whether somebody may want to look, although nothing above says so.
    """

    command: str = "unknown"
    trigger: Trigger | None = None
    events: tuple[Event, ...] = ()
    operation: str | None = None
    database: str | None = None
    instance: str | None = None
    state: State | None = None
    step: int | None = None
    next_poll: timedelta | None = None
    note: str = ""
    retry: bool = False
    error: Failure | None = None
    warning: bool = False

    @property
    def severity(self) -> str:
        """Whether somebody has to look."""
        said = {event.log_severity for event in self.events}
        if self.warning or self.retry or self.error is not None:
            said.add("WARNING")
        return next((severity for severity in ("ERROR", "WARNING") if severity in said), "INFO")


def case_of(context: Context, poll: Poll, operation: Operation | None, found: Backup | None = None) -> Case:
    """The case that an operation is, with its backup if it may have made one.

    Only a deletion needs to know for certain what has the backup's name now.
    """
    case = Case(poll, context.now, operation, found, context.settings.allow_delete)
    if operation is None or not operation.done or operation.error is not None or found is not None:
        return case
    deletes = intent_of(case) is Intent.CANCEL and poll.if_created is IfCreated.DELETE and case.allow_delete
    if not deletes and operation.response is not None and intent_of(case) is Intent.CANCEL:
        return replace(case, found=operation.response)
    try:
        return replace(case, found=context.find_backup(operation.backup))
    except RefusedError:
        if deletes or operation.response is None:
            raise
        return replace(case, found=operation.response)


def execute(context: Context, case: Case, *, follows: bool = True) -> Report:
    """Does what is decided about a case.

    Args:
        context: The delivery.
        case: The operation as it was read, and on whose behalf.
        follows: Whether a follow-up polls it again, where the decision asks for it; a sweep starts no chains.
    """
    decision = decide(case)
    while (refused := _act(context, case, decision)) is not None:
        case = replace(case, refused={**case.refused, decision.action: refused})
        decision = decide(case)
    wait = None
    if decision.polls_again and follows:
        wait = context.schedule(*polling.after(case, decision, context.settings))
    if decision.outcome is not None and decision.outcome not in case.poll.told:
        context.publish(sentences.event_of(case, decision, decision.outcome))
    poll = case.poll
    return Report(
        operation=poll.operation, database=poll.database, state=decision.state, step=poll.step, next_poll=wait
    )


def rehearse(context: Context, case: Case) -> Report:
    """Says what would be done about a case, and does nothing."""
    decision = decide(case)
    detail = sentences.would(case, decision)
    if case.operation is not None:
        context.publish(of_operation(Outcome.DRY_RUN, detail, context.trigger, case.operation))
    return Report(operation=case.poll.operation, database=case.poll.database, state=decision.state)


def _act(context: Context, case: Case, decision: Decision) -> Failure | None:
    """Does it; returns what Spanner says if the operation, or the backup, isn't as it was read."""
    if decision.action in case.refused:
        return None
    spanner, poll = context.ports.spanner, case.poll
    try:
        match decision.action:
            case Action.CANCEL:
                spanner.cancel_operation(poll.operation)
            case Action.DELETE:
                event = sentences.event_of(case, decision, Outcome.COMPLETED_THEN_DELETED)
                context.ports.events.announce_deletion(structs.replace(event, detail=sentences.earned(case)))
                spanner.delete_backup(poll.operation.backup)
            case Action.SHORTEN:
                spanner.set_expire_time(poll.operation.backup, case.earliest_expiry)
            case Action.POLL | Action.REPORT:
                pass
    except RefusedError as error:
        if decision.action in TOO_LATE and error.code not in TOO_LATE[decision.action]:
            raise
        return error.failure
    return None
