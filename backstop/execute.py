"""The one place with an effect on an operation or a backup: act, schedule, publish, in this order.

Dying anywhere on the way means that the message comes again, and that doing it again is harmless.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from msgspec import structs

from backstop import polling, sentences
from backstop.commands import IfCreated
from backstop.errors import RefusedError
from backstop.events import Event, Outcome, Trigger, of_operation
from backstop.followups import FollowUp, Intent, Poll, identity
from backstop.lifecycle import Action, Case, Decision, State, decide, intent_of
from backstop.names import BackupName
from backstop.operations import Backup, Failure, Operation
from backstop.ports import Ports, Settings
from backstop.wire import encode_follow_up

# Refusals that say that the operation, or the backup, isn't as it was read: one more fact, and no error.
TOO_LATE = {
    Action.CANCEL: frozenset({"FAILED_PRECONDITION", "NOT_FOUND"}),
    Action.DELETE: frozenset({"FAILED_PRECONDITION"}),
}


@dataclass(frozen=True, slots=True)
class Context:
    """Where and when a delivery is handled."""

    now: datetime
    trigger: Trigger  # The command on whose behalf.
    ports: Ports
    settings: Settings
    comes_again: bool = False  # Whether an earlier delivery may have been answered.
    published: list[Event] = field(default_factory=list)  # What this delivery has published, in order.

    def publish(self, event: Event) -> None:
        """Publishes an event, with a line of its own in the log."""
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
    """What a delivery came to, for the log line and for the answer."""

    command: str = "unknown"  # A command's action, or a follow-up's kind; `unknown` if it was not understood.
    trigger: Trigger | None = None
    events: tuple[Event, ...] = ()  # What was published, in order.
    operation: str | None = None  # The operation that was polled.
    database: str | None = None
    instance: str | None = None  # What a message is about which could not be understood.
    state: State | None = None
    step: int | None = None  # The follow-up's number.
    next_poll: timedelta | None = None  # How long until the next follow-up is due.
    note: str = ""  # One sentence for a delivery that published nothing.
    retry: bool = False  # Whether the delivery must be refused, so that Pub/Sub delivers it again.
    error: Failure | None = None  # What Google said, for a delivery that is retried later or refused.
    warning: bool = False  # Whether somebody may want to look, although nothing above says so.

    @property
    def severity(self) -> str:
        """Whether somebody has to look."""
        said = {event.log_severity for event in self.events}
        if self.warning or self.retry or self.error is not None:
            said.add("WARNING")
        return next((severity for severity in ("ERROR", "WARNING") if severity in said), "INFO")


def case_of(context: Context, poll: Poll, operation: Operation | None) -> Case:
    """The case that an operation is, with its backup if it may have made one.

    Only a deletion needs to know for certain what has the backup's name now.
    """
    settings = context.settings
    case = Case(poll, context.now, operation, None, settings.allow_delete, settings.allow_scheduled)
    if operation is None or not operation.done or operation.error is not None:
        return case
    deletes = intent_of(case) is Intent.CANCEL and poll.if_created is IfCreated.DELETE and case.allow_delete
    try:
        found = context.find_backup(operation.backup)
    except RefusedError:
        if deletes or operation.response is None:
            raise
        found = operation.response
    return replace(case, found=found)


def execute(context: Context, case: Case, *, follows: bool = True) -> Report:
    """Does what is decided about a case; `follows` is whether a follow-up may poll it again."""
    decision = decide(case)
    while (refused := _act(context, case, decision)) is not None:
        case = replace(case, refused={**case.refused, decision.rule.action: refused})
        decision = decide(case)
    poll, rule, wait = case.poll, decision.rule, None
    if rule.polls_again and follows:
        wait = context.schedule(*polling.after(case, decision, context.settings))
    if rule.outcome is not None and rule.outcome not in poll.told:
        context.publish(sentences.event_of(case, decision, rule.outcome))
    return Report(
        operation=poll.operation, database=poll.database, state=decision.state, step=poll.step, next_poll=wait
    )


def rehearse(context: Context, case: Case) -> Report:
    """Publishes what would be done about a case, and does nothing."""
    decision, poll, operation = decide(case), case.poll, case.operation
    would = sentences.would(case, decision)
    if operation is None:
        context.publish(sentences.of_poll(Outcome.DRY_RUN, would, poll))
    else:
        context.publish(of_operation(Outcome.DRY_RUN, would, poll.trigger, operation))
    return Report(operation=poll.operation, database=poll.database, state=decision.state)


def _act(context: Context, case: Case, decision: Decision) -> Failure | None:
    """Does it; returns what Spanner says if the operation, or the backup, isn't as it was read."""
    action, name, spanner = decision.rule.action, case.poll.operation, context.ports.spanner
    if action in case.refused:
        return None
    try:
        if action is Action.CANCEL:
            spanner.cancel_operation(name)
        elif action is Action.DELETE:
            event = sentences.event_of(case, decision, Outcome.COMPLETED_THEN_DELETED)
            context.ports.events.announce_deletion(structs.replace(event, detail=sentences.earned(case)))
            spanner.delete_backup(name.backup)
        elif action is Action.SHORTEN:
            spanner.set_expire_time(name.backup, case.earliest_expiry)
    except RefusedError as error:
        if action in TOO_LATE and error.code not in TOO_LATE[action]:
            raise
        return error.failure
    return None
