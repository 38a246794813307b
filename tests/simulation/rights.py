"""Claims about what the function may do: delete, cancel, shorten, start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from tests.simulation import entitlement
from tests.simulation.facts import Attempt, Command, Facts
from tests.simulation.record import Call

DELIVERY_MAX = timedelta(seconds=60)
"""A delivery acts on the time at which it began."""

EFFECTS = frozenset({"CreateBackup", "CancelOperation", "DeleteBackup", "UpdateBackup"})

DOES = {
    "CreateBackup": {"start"},
    "CancelOperation": {"start", "cancel", "follow", "sweep"},
    "DeleteBackup": {"start", "cancel", "follow", "sweep"},
    "UpdateBackup": {"start", "cancel", "follow"},
}
"""Which commands may lead to which calls."""


def only_what_was_unwanted(facts: Facts) -> Iterator[str]:
    """What was complete before anybody asked is deleted by no command that doesn't name it."""
    for attempt, call in _deleted(facts):
        command = facts.commands.get(facts.command_behind(call))
        if command is not None and not entitlement.was_asked_before_its_end(command, attempt):
            late = command.asked - attempt.end if attempt.end else None
            yield f"{attempt.backup} was complete {late} before {command.id} {command.body}, and was deleted"


def only_what_was_meant(facts: Facts) -> Iterator[str]:
    """Every delete, cancel and shortened expiry of the function's is one that its command entitles to."""
    yield from _too_young(facts)
    for attempt, call in _deleted(facts):
        assert attempt.gone_at is not None
        command = facts.commands.get(facts.command_behind(call))
        if command is None or not entitlement.may_delete(command, attempt, attempt.gone_at, facts):
            yield f"{attempt.backup} of {attempt.start} ({attempt.maker}, {attempt.code}) was deleted{_for(command)}"
    for attempt in facts.attempts.values():
        canceller, at = attempt.canceller, attempt.cancel_at
        if canceller is None or canceller.method != "CancelOperation" or at is None:
            continue
        command = facts.commands.get(facts.command_behind(canceller))
        if command is None or not entitlement.may_cancel(command, attempt, at, facts):
            yield f"{attempt.operation} ({attempt.maker}, since {attempt.start}) was cancelled{_for(command)}"
    for attempt, expiry_call, at in facts.expiries:
        if expiry_call is None:
            continue
        command = facts.commands.get(facts.command_behind(expiry_call))
        if command is None or not (
            entitlement.may_delete(command, attempt, at, facts) and _is_given_up(attempt, expiry_call, at, facts)
        ):
            yield f"the expiry of {attempt.backup} of {attempt.start} was changed{_for(command)}"


def _too_young(facts: Facts) -> Iterator[str]:
    """What was stopped or deleted on behalf of a command that was older, and that came too late to mean it."""
    calls = [(one, one.canceller) for one in facts.attempts.values()]
    stopped = [(one, call) for one, call in calls if call is not None and call.method == "CancelOperation"]
    for attempt, call in (*stopped, *_deleted(facts)):
        command = facts.commands.get(facts.command_behind(call))
        if command and entitlement.is_younger(command, attempt, _taken_up_at(command, attempt, call, facts), facts):
            yield f"{call.method} of {attempt.operation} of {attempt.start}{_for(command)} of {command.asked}"


def _taken_up_at(command: Command, attempt: Attempt, call: Call, facts: Facts) -> datetime:
    """When the delivery began that was the first to deal with an operation on behalf of a command."""
    about = f"poll {attempt.operation}"
    polls = [one.task.delivery for one in facts.follow_ups if (one.command, one.about) == (command.id, about)]
    return min(facts.record.deliveries[number].begin for number in (*polls, call.delivery))


def every_deletion_is_logged(facts: Facts) -> Iterator[str]:
    """A line in the log says that a backup is about to be deleted, and why, before it is."""
    if not facts.record.faults_known:
        return
    for _, call in _deleted(facts):
        if not any(
            (one.delivery, one.backup) == (call.delivery, call.resource) and one.calls <= call.number and one.why
            for one in facts.record.logged
        ):
            yield f"{call.resource} was deleted in delivery {call.delivery}, and no line says why"


def _deleted(facts: Facts) -> Iterator[tuple[Attempt, Call]]:
    """The backups that the function deleted, each with its call."""
    for attempt in facts.attempts.values():
        call = attempt.deleter
        if call is not None and call.method == "DeleteBackup" and not _made_after_the_look(attempt, call, facts):
            yield attempt, call


def _for(command: Command | None) -> str:
    return f" for {command.id} {command.body}" if command is not None else ""


def _is_given_up(attempt: Attempt, call: Call, at: datetime, facts: Facts) -> bool:
    """Whether the command's time was up on whose behalf a call was made; only then is an expiry brought forward."""
    command = facts.commands.get(facts.command_behind(call))
    since = max(command.at, attempt.start) if command is not None else attempt.start
    return at + facts.skew + entitlement.CLOCKS >= since + facts.record.deployment.give_up_after


def _made_after_the_look(attempt: Attempt, call: Call, facts: Facts) -> bool:
    """Whether a backup was re-created under the name between the look and the delete of one delivery.

    DeleteBackup takes a name and nothing else, so no client can close this gap; docs/reliability.md says so.
    """
    looks = [
        one.at
        for one in facts.record.calls
        if (one.delivery, one.method, one.resource) == (call.delivery, "GetBackup", call.resource)
        and one.number < call.number
    ]
    return bool(looks) and attempt.start >= looks[-1]


def one_backup_per_start(facts: Facts) -> Iterator[str]:
    """A start makes at most one backup of a database: the one that it asks for, and not when it came too late."""
    made: Counter[tuple[str, str]] = Counter()
    for attempt in facts.attempts.values():
        if attempt.creator is None:
            continue
        command_id = facts.command_behind(attempt.creator)
        made[command_id, attempt.database] += 1
        command = facts.commands.get(command_id)
        if command is None or command.action != "start" or not entitlement.names_database(command, attempt.database):
            yield f"{attempt.backup} of {attempt.database} was started for {command_id}, which asks for no such thing"
            continue
        backup_id = command.body.get("backup_id")
        named = (
            attempt.backup.rpartition("/")[2] == backup_id if backup_id else entitlement.is_derived(command, attempt)
        )
        if not named:
            yield f"{command_id} made a backup called {attempt.backup}"
        within, last = command.span("start_within"), max(command.stamps)
        if within is not None and attempt.start - last > within + facts.skew + DELIVERY_MAX:
            yield f"{attempt.backup} was started {attempt.start - last} after its command"
    for (command_id, database), count in made.items():
        if count > 1 and not entitlement.began_anew(facts.commands[command_id], facts):
            yield f"{command_id} made {count} backups of {database}"


def only_by_right(facts: Facts) -> Iterator[str]:
    """Every effect comes from a command that says so, is no dry run, and isn't forged; no delete where that is off."""
    for call in facts.record.calls:
        if call.method not in EFFECTS or call.until == call.since:
            continue
        command_id = facts.command_behind(call)
        command = facts.commands.get(command_id)
        if command is None or command.action not in DOES[call.method]:
            yield f"{call.method} of {call.resource} for {command_id}, which is no command that may"
        elif command.dry:
            yield f"{call.method} of {call.resource} by the dry run {command_id}"
        if call.method == "DeleteBackup" and not facts.record.deployment.allow_delete:
            yield f"{call.resource} was deleted, where nothing may be"
