"""What the messages entitle the function to, said anew from the contract and from Spanner's events alone."""

from __future__ import annotations

import fnmatch
from datetime import timedelta
from typing import TYPE_CHECKING

from tests.simulation.facts import GOOD
from tests.simulation.history import INSTANCE

if TYPE_CHECKING:
    from datetime import datetime

    from tests.simulation.facts import Attempt, Command, Facts

GRACE = timedelta(minutes=10)
"""An operation may have ended this long before a cancel was published, and still be the one that is meant."""

CLOCKS = timedelta(seconds=10)
"""How far Pub/Sub's clock may be off Spanner's."""

NAME_LENGTH_MAX = 60
HEX_DIGITS = frozenset("0123456789abcdef")


def meant_by(command: Command, facts: Facts) -> list[Attempt]:
    """The operations that a cancel can have meant when it was published, by any clock that is near.

    Of a database or a backup these are the ones that ran then; if none did, the one started last of those that had
    ended within the grace. Where one ran, it is the only one.
    """
    named = command.body.get("operation")
    matching = [
        attempt
        for attempt in facts.attempts.values()
        if describes(command, attempt) and (command.includes_scheduled or not attempt.scheduled)
    ]
    if named is not None:
        return matching
    found: dict[str, Attempt] = {}
    for published in _moments(command, matching):
        running = [attempt for attempt in matching if attempt.running(published)]
        ended = [
            attempt for attempt in matching if attempt.end is not None and published - GRACE <= attempt.end <= published
        ]
        chosen = running or sorted(ended, key=lambda attempt: attempt.start)[-1:]
        found.update({attempt.operation: attempt for attempt in chosen})
    return list(found.values())


def followed_by(command: Command, facts: Facts) -> list[Attempt]:
    """The operations that a follow can have meant, by any clock that is near: the newest that ran, or else of all."""
    matching = [attempt for attempt in facts.attempts.values() if describes(command, attempt)]
    if "operation" in command.body:
        return matching
    found: dict[str, Attempt] = {}
    for published in _moments(command, matching):
        started = [attempt for attempt in matching if attempt.start <= published]
        if started:
            chosen = max(started, key=lambda attempt: (attempt.running(published), attempt.start))
            found[chosen.operation] = chosen
    return list(found.values())


def _moments(command: Command, matching: list[Attempt]) -> list[datetime]:
    """When a command may have been published, by Spanner's clock: every moment at which that makes a difference."""
    first, last = command.at - CLOCKS, command.at + CLOCKS
    changes = [moment for one in matching for moment in (one.start, one.end) if moment is not None]
    return [first, command.at, last, *(moment for moment in changes if first < moment < last)]


def describes(command: Command, attempt: Attempt) -> bool:
    """Whether the target's description fits, whoever made the backup."""
    if attempt.copied:
        return False
    body = command.body
    return (
        body.get("operation") == attempt.operation
        or body.get("backup") == attempt.backup
        or body.get("database") == attempt.database
    )


def made_by(command: Command, attempt: Attempt, facts: Facts) -> bool:
    """Whether an operation is the one that a start made, or may take for its own.

    That is the first one of the name that it gives, of the database that it names, since it was published; a name
    that is derived from the message is proof by itself.
    """
    fitting = [one for one in facts.attempts.values() if one.database == attempt.database and _fits(command, one)]
    return attempt in fitting and attempt is min(fitting, key=lambda one: one.start)


def started_by(command: Command, attempt: Attempt, facts: Facts) -> bool:
    """Whether an operation is a start's own: it made it, or may take it for its own."""
    made = attempt.creator is not None and facts.command_behind(attempt.creator) == command.id
    return made or made_by(command, attempt, facts)


def _fits(command: Command, attempt: Attempt) -> bool:
    if command.action != "start" or not names_database(command, attempt.database):
        return False
    if attempt.scheduled and (attempt.gone_at is None or attempt.code == GOOD):
        return False  # Of one that came to nothing Spanner doesn't say that a schedule made it.
    backup_id = command.body.get("backup_id")
    if backup_id is not None:
        return attempt.backup == f"{INSTANCE}/backups/{backup_id}" and attempt.start >= command.at - CLOCKS
    return is_derived(command, attempt)


def is_derived(command: Command, attempt: Attempt) -> bool:
    """Whether a backup's name is the one that a start without a name of its own derives."""
    database_id = attempt.database.rpartition("/")[2]
    suffix = f"-{command.at:%Y%m%d-%H%M%S}-"
    stem = database_id[: NAME_LENGTH_MAX - len(suffix) - 8] + suffix
    before, digits = attempt.backup[:-8], attempt.backup[-8:]
    return before == f"{INSTANCE}/backups/{stem}" and set(digits) <= HEX_DIGITS and len(digits) == 8


def names_database(command: Command, database: str) -> bool:
    """Whether a start asks for a backup of this database."""
    if "instance" not in command.body:
        return command.body.get("database") == database
    patterns = command.body.get("databases") or ["*"]
    assert isinstance(patterns, list)
    return any(fnmatch.fnmatchcase(database.rpartition("/")[2], pattern) for pattern in patterns)


def unwanted_from(command: Command, attempt: Attempt, facts: Facts) -> datetime | None:
    """From when on a command makes an operation unwanted, by Spanner's clock; None: never."""
    if command.dry or (attempt.scheduled and not command.includes_scheduled):
        return None
    after = command.span("cancel_after")
    match command.action:
        case "cancel":
            return command.at - GRACE if attempt in meant_by(command, facts) else None
        case "start":
            is_own = after is not None and started_by(command, attempt, facts)
        case "follow":
            is_own = after is not None and attempt in followed_by(command, facts)
        case _:
            return None
    return max(attempt.start + after, command.at - CLOCKS) if is_own and after is not None else None


def why_cancelled(attempt: Attempt, at: datetime, facts: Facts) -> str:
    """The message id of a command that entitles the function to cancel an operation then; empty if none does."""
    for command in _delivered(facts, at):
        if command.action == "sweep" and not command.dry:
            after = command.span("cancel_after")
            old = after is not None and command.at - attempt.start >= after
            if old and (command.includes_scheduled or not attempt.scheduled) and not attempt.copied:
                return command.id
        unwanted = unwanted_from(command, attempt, facts)
        if unwanted is not None and at >= unwanted - facts.skew - CLOCKS:
            return command.id
    return ""


def why_deleted(attempt: Attempt, at: datetime, facts: Facts) -> str:
    """The message id of a command that entitles the function to delete a backup then; empty if none does."""
    if attempt.code != GOOD or attempt.end is None or attempt.end > at or not facts.record.deployment.allow_delete:
        return ""
    for command in _delivered(facts, at):
        if not command.deletes or (attempt.scheduled and not command.includes_scheduled):
            continue
        if command.action == "sweep" and attempt.cancel_at is not None and attempt.cancel_at <= attempt.end:
            return command.id
        unwanted = unwanted_from(command, attempt, facts)
        if unwanted is not None and attempt.end >= unwanted:
            return command.id
    return ""


def _delivered(facts: Facts, at: datetime) -> list[Command]:
    return [
        command
        for command in facts.commands.values()
        if command.body and command.deliveries and command.deliveries[0].begin <= at
    ]
