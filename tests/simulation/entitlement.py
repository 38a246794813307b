"""What the messages entitle the function to, said anew from the contract and from Spanner's events alone."""

from __future__ import annotations

import fnmatch
from datetime import datetime, timedelta

from tests.simulation.facts import CANCELLED, Attempt, Command, Facts
from tests.simulation.history import INSTANCE

GRACE = timedelta(minutes=10)
"""An operation may have ended this long before a cancel that names it, and still be the one that is meant."""

DUE = timedelta(hours=12)
"""What began this long before a follow of its database, and has ended, isn't the backup that was due."""

CLOCKS = timedelta(seconds=10)
"""How far Pub/Sub's clock may be off Spanner's."""

PUBLISH_TIME_CUT = timedelta(milliseconds=1)
"""Publish times come in whole milliseconds, cut."""

NAME_LENGTH_MAX, DIGITS = 60, 8
HEX_DIGITS = frozenset("0123456789abcdef")


def meant_by(command: Command, facts: Facts) -> list[Attempt]:
    """The operations that a cancel can have meant, whatever the clocks say."""
    return [attempt for attempt in facts.attempts.values() if _may_be_meant(command, attempt, facts)]


def _may_be_meant(command: Command, attempt: Attempt, facts: Facts) -> bool:
    """Whether it is named, or ran when the command was published; one that started since, only if no other one ran."""
    if not describes(command, attempt) or not is_within(command, attempt):
        return False
    if "operation" in command.body:
        return True
    since = min(command.asked, command.at) - CLOCKS - (GRACE if "backup" in command.body else timedelta(0))
    if attempt.start > max(command.asked, command.at) + CLOCKS or not attempt.ended_after(since):
        return False
    older = [one for one in facts.attempts.values() if one is not attempt and describes(command, one)]
    if any(_was_stopped_for(command, one, facts) and one.end and attempt.start >= one.end for one in older):
        return False
    return attempt.start <= command.asked or not any(
        ran(command, one) and one.good and is_within(command, one) for one in older
    )


def _was_stopped_for(command: Command, attempt: Attempt, facts: Facts) -> bool:
    return attempt.canceller is not None and facts.command_behind(attempt.canceller) == command.id


def ran(command: Command, attempt: Attempt) -> bool:
    """Whether an operation truly ran when a command was published, and for so long that no clock can doubt it."""
    return attempt.start <= command.asked and attempt.ended_after(command.asked + CLOCKS)


def is_surely_meant(command: Command, attempt: Attempt) -> bool:
    """Whether a cancel must find an operation: it truly ran, or it is named and had just ended."""
    if not describes(command, attempt) or not is_within(command, attempt):
        return False
    just_ended = attempt.ended_after(command.asked - GRACE + CLOCKS)
    if "backup" in command.body:
        return ran(command, attempt) or (attempt.good and attempt.start <= command.asked and just_ended)
    return just_ended if "operation" in command.body else ran(command, attempt)


def is_hidden(command: Command, attempt: Attempt) -> bool:
    """Whether an operation that can't be read fits and ran, so that it must be told of."""
    return points_at(command, attempt) and ran(command, attempt)


def is_within(command: Command, attempt: Attempt) -> bool:
    """Whether a command is for a backup that a native schedule made, if one did."""
    return command.includes_scheduled or not attempt.scheduled


def followed_by(command: Command, facts: Facts) -> list[Attempt]:
    """The operations that a follow can have meant, by any clock that is near: the newest that ran, or else of all."""
    matching = [attempt for attempt in facts.attempts.values() if describes(command, attempt)]
    if "operation" in command.body:
        return matching
    found: dict[str, Attempt] = {}
    for published in _moments(command, matching):
        due = [one for one in matching if one.start <= published and is_due(command, one, published)]
        running = [one for one in due if one.running(published)]
        if due:
            chosen = max(running or due, key=lambda one: one.start)
            found[chosen.operation] = chosen
    return list(found.values())


def is_due(command: Command, attempt: Attempt, published: datetime) -> bool:
    """Whether a follow may mean an operation: one that runs or that it names, or of late, if nobody stopped it."""
    of_late = attempt.start >= published - DUE and attempt.code != CANCELLED
    return "database" not in command.body or attempt.running(published) or of_late


def _moments(command: Command, matching: list[Attempt]) -> list[datetime]:
    """When a command may have been published, by Spanner's clock: every moment at which that makes a difference."""
    first, last = command.at - CLOCKS, command.at + CLOCKS
    changes = [moment for one in matching for moment in (one.start, one.end) if moment is not None]
    return [first, command.at, last, *(moment for moment in changes if first < moment < last)]


def describes(command: Command, attempt: Attempt) -> bool:
    """Whether the target's description fits an operation that Backstop deals with, whoever made the backup."""
    return attempt.handled and points_at(command, attempt)


def points_at(command: Command, attempt: Attempt) -> bool:
    """Whether the target's description fits."""
    body = command.body
    return (
        body.get("operation") == attempt.operation
        or body.get("backup") == attempt.backup
        or body.get("database") == attempt.database
    )


def started_by(command: Command, attempt: Attempt, facts: Facts) -> bool:
    """Whether an operation is a start's own: it made it; or it came to nothing by itself, and nobody loses by it."""
    if attempt.creator is not None and facts.command_behind(attempt.creator) == command.id:
        return True
    if command.action != "start":
        return False
    canceller = attempt.canceller
    return may_be_own(command, attempt) and (canceller is None or facts.command_behind(canceller) != command.id)


def may_be_own(command: Command, attempt: Attempt) -> bool:
    """Whether what came to nothing may be what a start of that name began, as far as anything still says."""
    return (
        not attempt.good
        and (attempt.end is not None or attempt.gone_at is not None)
        and names_database(command, attempt.database)
        and attempt.backup == f"{INSTANCE}/backups/{command.body.get('backup_id')}"
        and attempt.start >= min(command.asked, command.at) - CLOCKS
    )


def began_anew(command: Command, facts: Facts) -> bool:
    """Whether a start with a `backup_id` came again with another publish time, after its backup had come to nothing.

    Nothing tells it then from another start.
    """
    if len(command.stamps) == 1 or "backup_id" not in command.body:
        return False
    own = [one for one in facts.attempts.values() if started_by(command, one, facts)]
    own.sort(key=lambda one: one.start)
    return len(own) > 1 and all(not one.good or one.gone_at for one in own[:-1])


def is_derived(command: Command, attempt: Attempt) -> bool:
    """Whether a backup's name is the one that a start without a name of its own derives."""
    database_id, backup_id = attempt.database.rpartition("/")[2], attempt.backup.rpartition("/")[2]
    before, digits = backup_id[:-DIGITS], backup_id[-DIGITS:]
    suffixes = {f"-{stamp:%Y%m%d-%H%M%S}-" for stamp in command.stamps}
    stems = {database_id[: NAME_LENGTH_MAX - len(suffix) - DIGITS] + suffix for suffix in suffixes}
    return before in stems and set(digits) <= HEX_DIGITS and len(digits) == DIGITS


def names_database(command: Command, database: str) -> bool:
    """Whether a start asks for a backup of this database."""
    if "instance" not in command.body:
        return command.body.get("database") == database
    patterns = command.body.get("databases") or ["*"]
    assert isinstance(patterns, list)
    return any(fnmatch.fnmatchcase(database.rpartition("/")[2], pattern) for pattern in patterns)


def was_asked_before_its_end(command: Command, attempt: Attempt) -> bool:
    """Whether anybody asked for a stop before the backup was complete, in true time.

    A command that names the backup or its operation may be late: a cancel by the grace, and each by the clocks' margin.
    """
    if attempt.cancel_at is not None:
        return True
    late = CLOCKS if {"operation", "backup"} & command.body.keys() else timedelta(0)
    if late and command.action == "cancel":
        late += GRACE
    return attempt.ended_after(command.asked - late)


def is_target(command: Command, attempt: Attempt, facts: Facts) -> bool:
    """Whether a command may stop an operation, or delete what it made, if it comes to that."""
    if command.dry or not attempt.handled or not is_within(command, attempt):
        return False
    match command.action:
        case "cancel":
            return attempt in meant_by(command, facts)
        case "start":
            return command.span("cancel_after") is not None and started_by(command, attempt, facts)
        case "follow":
            return command.span("cancel_after") is not None and attempt in followed_by(command, facts)
        case _:
            return command.action == "sweep"


def limit(command: Command, attempt: Attempt) -> datetime | None:
    """From when on a command with a time limit has an operation stopped; None: it has no limit."""
    after = command.span("cancel_after")
    return None if after is None else attempt.start + after


def may_cancel(command: Command, attempt: Attempt, at: datetime, facts: Facts) -> bool:
    """Whether a command may have an operation stopped then: it is its target, and its time is up."""
    if not is_target(command, attempt, facts):
        return False
    until = limit(command, attempt)
    if command.action == "sweep":
        return until is not None and until <= max(command.asked, command.at)
    return command.action == "cancel" or (until is not None and at >= until - facts.skew - CLOCKS)


def is_younger(command: Command, attempt: Attempt, taken_up_at: datetime, facts: Facts) -> bool:
    """Whether an operation began after a command by every clock, and it was taken up so late that nobody meant it."""
    if "operation" in command.body or command.action not in {"cancel", "follow"}:
        return False
    creator = facts.commands.get(facts.command_behind(attempt.creator)) if attempt.creator else None
    last = max(command.asked, *command.stamps)
    asked_for_before = creator is not None and creator.asked <= command.asked
    late = taken_up_at > last + CLOCKS + facts.skew
    return late and attempt.start > last + PUBLISH_TIME_CUT and not asked_for_before


def may_delete(command: Command, attempt: Attempt, at: datetime, facts: Facts) -> bool:
    """Whether a command may delete what an operation made: it is its target, complete, and unwanted when it was."""
    if not is_target(command, attempt, facts) or not command.deletes or not facts.record.deployment.allow_delete:
        return False
    if not attempt.good or attempt.end is None or attempt.end > at:
        return False
    if command.action == "sweep":
        return attempt.cancel_at is not None
    until = limit(command, attempt)
    return command.action == "cancel" or (until is not None and attempt.end >= until)


def must_delete(command: Command, attempt: Attempt) -> bool:
    """Whether what an operation made was complete so late that a command must not keep it."""
    if attempt.end is None:
        return False
    late = max(command.asked, *command.stamps) + CLOCKS
    if command.action == "cancel":
        named = {"operation", "backup"} & command.body.keys()
        return attempt.end > (command.asked - GRACE + CLOCKS if named else late)
    until = limit(command, attempt)
    return command.action != "sweep" and until is not None and attempt.end > max(until, late) + CLOCKS
