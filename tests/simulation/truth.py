"""Claims about what is told: that it is so, and that there was a reason to say it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from tests.simulation import entitlement
from tests.simulation.facts import CANCELLED, GOOD, Attempt, Command, Facts, Outcome
from tests.simulation.faults import EPOCH, FAR_FUTURE, NO_ID, NO_TIME
from tests.simulation.history import INSTANCE, database_name

OF_DRY_RUNS = frozenset({"DRY_RUN", "REJECTED", "NOTHING_TO_CANCEL", "GONE", "GAVE_UP"})
"""What a dry run may tell. That of a sweep tells of what is left behind as it is, too."""

TARGETS = {
    "start": {"database", "instance"},
    "cancel": {"database", "backup", "operation"},
    "follow": {"database", "backup", "operation"},
    "sweep": {"instance"},
}


FIELDS = dict.fromkeys((NO_TIME, EPOCH, FAR_FUTURE), "message.publishTime") | {NO_ID: "message.messageId"}
"""What is named when a message is turned down for its envelope."""


def true_words(facts: Facts) -> Iterator[str]:
    """Everything that is told agrees with what the services saw."""
    for outcome in facts.outcomes:
        command = facts.commands.get(outcome.command)
        attempt = facts.attempts.get(outcome.operation)
        if command is not None and (why := _untrue(outcome, command, attempt, facts)):
            yield f"{outcome.command} {command.body} says {outcome.name} ({outcome.detail}), but {why}"


def _untrue(outcome: Outcome, command: Command, attempt: Attempt | None, facts: Facts) -> str:  # noqa: PLR0911 one line for each outcome
    if why := _untrue_of_form(outcome, command):
        return why
    match outcome.name:
        case "NOTHING_TO_CANCEL":
            return _untrue_nothing(outcome, command, facts)
        case "GONE":
            known = attempt is not None and (attempt.forgotten_at is None or attempt.forgotten_at > outcome.told.at)
            return "Spanner knew the operation" if known else ""
        case "GAVE_UP":
            return _untrue_give_up(outcome, command, attempt, facts)
        case "REJECTED":
            return "" if _is_reason(outcome, command, facts) else "there was no reason"
        case "DRY_RUN":
            return "" if command.dry else "it is no dry run"
        case "STARTED" if outcome.is_summary:
            started = {one.database for one in facts.attempts.values() if entitlement.started_by(command, one, facts)}
            claimed = {database_name(name) for name, is_started in (outcome.databases or {}).items() if is_started}
            return f"{sorted(claimed - started)} was not started" if claimed - started else ""
        case _ if attempt is None:
            return "there is no such operation"
        case _ if not _about_its_target(command, attempt, facts):
            return "that is not what it meant"
        case _:
            return _untrue_of(outcome, command, attempt, facts)


def _untrue_of_form(outcome: Outcome, command: Command) -> str:
    """What can't be said of a dry run, nor of a message whose envelope or form is not a command's."""
    if command.dry and command.action != "sweep" and outcome.name not in OF_DRY_RUNS:
        return "it is a dry run"
    if command.odd and not (outcome.name == "REJECTED" and FIELDS.get(command.odd, "") in outcome.detail):
        return f"the message: {command.odd}"
    return ""


def _untrue_of(outcome: Outcome, command: Command, attempt: Attempt, facts: Facts) -> str:  # noqa: C901, PLR0911 one line for each outcome
    at = outcome.told.at
    match outcome.name:
        case "CANCEL_REQUESTED":
            received = attempt.cancel_at is not None and attempt.cancel_at <= at
            too_late = attempt.end is not None and attempt.end <= at
            return "" if received or too_late else "no cancel was received"
        case "STARTED":
            return ""
        case "DELETE_BLOCKED":
            users = [(since, user) for since, user in facts.users.get(attempt.backup, ()) if since <= at]
            named = any(user in outcome.detail or since >= facts.begin_of(outcome) for since, user in users)
            return "" if named else f"it names none of {users}"
        case _ if attempt.end is None or attempt.end > at:
            return "it had not ended"
        case "CANCELLED":
            return "" if attempt.code == CANCELLED else f"it ended {attempt.code}"
        case "FAILED":
            return "" if attempt.code not in {CANCELLED, GOOD} else f"it ended {attempt.code}"
        case _ if attempt.code != GOOD:
            return f"it ended {attempt.code}"
        case "COMPLETED":
            return "a cancel was received" if attempt.cancel_at is not None else ""
        case "COMPLETED_DESPITE_CANCEL":
            return "no cancel was received" if attempt.cancel_at is None else ""
        case "COMPLETED_THEN_DELETED":
            return "" if attempt.gone_at is not None and attempt.gone_at <= at else "the backup is there"
        case "COMPLETED_KEPT":
            return _untrue_kept(command, attempt, facts, at)
        case _:
            return "nobody knows such an outcome"


def _untrue_nothing(outcome: Outcome, command: Command, facts: Facts) -> str:
    """Nothing was meant by a cancel, and nothing was for a sweep to look after, whatever the clocks say."""
    if command.action == "cancel":
        sure = [one for one in facts.attempts.values() if entitlement.is_surely_meant(command, one)]
        hidden = [one for one in facts.attempts.values() if one.unreadable and one.ended_after(outcome.told.at)]
        sure += [one for one in hidden if entitlement.is_hidden(command, one)]
    elif facts.record.misread:
        return ""
    else:
        sure = [one for one in facts.attempts.values() if _surely_swept(one, command, outcome.told.at)]
    return f"{sure[0].operation} was meant" if sure else ""


def _surely_swept(attempt: Attempt, command: Command, at: datetime) -> bool:
    """Whether a sweep must have found something to do about an operation until then."""
    if not attempt.handled or attempt.gone_at is not None:
        return False
    early = command.at - entitlement.CLOCKS
    if attempt.end is not None and attempt.end < early:
        was_cancelled = attempt.cancel_at is not None and attempt.cancel_at <= attempt.end
        return attempt.code == GOOD and was_cancelled and attempt.forgotten_at is None
    after = command.span("cancel_after")
    old = after is not None and attempt.start + after < early and attempt.cancel_at is None
    return old and (attempt.end is None or attempt.end > at) and (command.includes_scheduled or not attempt.scheduled)


def _is_reason(outcome: Outcome, command: Command, facts: Facts) -> bool:
    """Whether there was a reason to turn a command down: that it is none, Google's, or one of our own.

    One about what Backstop leaves alone is turned down, too: a copy, or what it can't read.
    """
    if any(not one.handled and entitlement.points_at(command, one) for one in facts.attempts.values()):
        return True
    if outcome.error:
        return outcome.error in facts.refusals[command.id] or not facts.record.faults_known
    if command.action not in TARGETS or len(TARGETS[command.action].intersection(command.body)) != 1:
        return True
    if "came late or again" in outcome.detail:
        return _is_in_doubt(outcome, command, facts)
    if "backup schedule" in outcome.detail:
        return _is_scheduled(outcome, command, facts)
    return _is_own_reason(outcome, command, facts)


def _is_in_doubt(outcome: Outcome, command: Command, facts: Facts) -> bool:
    """Whether a command came late or again, for all that Pub/Sub says, and what is blamed began after it."""
    first, counted = min(command.stamps), facts.record.deployment.dead_letter_after is not None
    again = not counted or outcome.told.delivery != command.deliveries[0].number
    late = outcome.told.at - first > entitlement.CLOCKS - facts.skew
    blamed = [one for one in facts.attempts.values() if one.operation in outcome.detail]
    return (late or again) and any(one.start > first for one in blamed)


def _is_scheduled(outcome: Outcome, command: Command, facts: Facts) -> bool:
    """Whether a schedule made what a command was turned down for, and the command meant nothing else."""
    blamed = [one for one in facts.attempts.values() if one.scheduled and one.operation in outcome.detail]
    if command.action == "start":
        return any(one.backup.rpartition("/")[2] == command.body.get("backup_id") for one in blamed)
    sure = [one for one in facts.attempts.values() if entitlement.is_surely_meant(command, one)]
    return bool(blamed) and not command.includes_scheduled and (command.action != "cancel" or not sure)


def _is_own_reason(outcome: Outcome, command: Command, facts: Facts) -> bool:
    body = command.body
    match command.action:
        case "start" if "instance" in body:
            databases = facts.record.deployment.databases
            found = any(entitlement.names_database(command, database_name(database)) for database in databases)
            return not found or (outcome.databases is not None and not any(outcome.databases.values()))
        case "start":
            within, tolerance = command.span("start_within"), facts.skew + entitlement.CLOCKS
            late = within is not None and outcome.told.at - command.at > within - tolerance
            misread = f"{INSTANCE}/backups/{body.get('backup_id')}" in facts.record.misread
            return late or misread or any(entitlement.may_be_own(command, one) for one in facts.attempts.values())
        case "cancel":
            blamed = [one for one in facts.attempts.values() if one.operation in outcome.detail]
            beside = any(one.scheduled for one in blamed) and any(one.start > min(command.stamps) for one in blamed)
            return beside or _is_ambiguous(command, facts) or _is_missing(outcome, command, facts)
        case "follow":
            return _is_missing(outcome, command, facts) or not any(
                entitlement.describes(command, one)
                and one.start < command.at - entitlement.CLOCKS
                and entitlement.is_due(command, one, command.at + entitlement.CLOCKS)
                for one in facts.attempts.values()
                if one.forgotten_at is None
            )
        case _:
            return False


def _is_ambiguous(command: Command, facts: Facts) -> bool:
    """Whether the clocks leave more than one operation that may be meant; of a name, those since count as well."""
    since, until = (choose(command.asked, command.at) for choose in (min, max))
    if "backup" in command.body:
        since, until = since - entitlement.GRACE, datetime.max.replace(tzinfo=UTC) - entitlement.CLOCKS
    near = [
        one
        for one in facts.attempts.values()
        if one.start <= until + entitlement.CLOCKS and one.ended_after(since - entitlement.CLOCKS)
    ]
    unsaid = facts.record.deployment.brief_answers
    seen = [
        one for one in near if entitlement.is_within(command, one) or one.gone_at or unsaid or one.start > command.asked
    ]
    return sum(entitlement.describes(command, one) for one in seen) > 1


def _is_missing(outcome: Outcome, command: Command, facts: Facts) -> bool:
    """Whether there is no such database, or no such backup now, nor was when the delivery began."""
    body, begin = command.body, facts.begin_of(outcome)
    if "database" in body:
        return body["database"] not in {database_name(one) for one in facts.record.deployment.databases}
    there = [
        one
        for one in facts.attempts.values()
        if one.backup == body.get("backup") and (one.gone_at is None or one.gone_at > outcome.told.at)
    ]
    return not any(one.start < begin for one in there) or body.get("backup") in facts.record.misread


def _about_its_target(command: Command, attempt: Attempt, facts: Facts) -> bool:
    """Whether a command tells of what it meant; a sweep means everything.

    A cancel may tell the end of a scheduled one where its own target leaves it no backup to deal with, or where the
    scheduled one's backup is gone, or never came to be: from then on Spanner no longer says that a schedule made it.
    """
    match command.action:
        case "start":
            return entitlement.started_by(command, attempt, facts)
        case "follow":
            return attempt in entitlement.followed_by(command, facts)
        case "cancel":
            meant = entitlement.meant_by(command, facts)
            sure = [one for one in meant if entitlement.is_surely_meant(command, one)]
            left = [one for one in sure if one.code in {"", GOOD} and not one.gone_at]
            unsaid = [attempt.gone_at, None if attempt.code in {"", GOOD} else attempt.end]
            tried = facts.last_tried[command.id]
            unseen = attempt.scheduled and (not left or any(since is not None and since <= tried for since in unsaid))
            return attempt in meant or (unseen and entitlement.describes(command, attempt))
        case _:
            return attempt.handled


def _untrue_give_up(outcome: Outcome, command: Command, attempt: Attempt | None, facts: Facts) -> str:
    since = max(command.at, attempt.start) if attempt is not None else command.at
    if "brought forward" in outcome.detail and attempt not in [one for one, call, _ in facts.expiries if call]:
        return "its expiry is as it was"
    early = outcome.told.at + facts.skew + entitlement.CLOCKS < since + facts.record.deployment.give_up_after
    return "it was too early to give up" if early else ""


def _untrue_kept(command: Command, attempt: Attempt, facts: Facts, at: datetime) -> str:
    """A backup may be kept because somebody says so, because it isn't the one, or because it was done in time."""
    if not command.deletes or not facts.record.deployment.allow_delete:
        return ""
    if {attempt.backup, attempt.operation} & (facts.record.misread | facts.record.unexplained):
        return ""
    if not entitlement.is_within(command, attempt):
        return ""
    if attempt.gone_at is not None and attempt.gone_at <= at:
        return "its backup was gone"
    # By these clocks it began after the command, so whether it is meant is in doubt.
    in_doubt = command.action == "cancel" and "operation" not in command.body and attempt.start > command.at
    return "it was to be deleted" if entitlement.must_delete(command, attempt) and not in_doubt else ""
