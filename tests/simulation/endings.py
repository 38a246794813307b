"""Claims about how things end: in time, once, and as the outcome says."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from emulators.spanner.history import What
from tests.simulation import entitlement
from tests.simulation.facts import CANCELLED, GOOD, trigger_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulation.facts import Attempt, Command, Facts, Outcome

BOUND = timedelta(hours=2, minutes=30)
"""The last word comes this long, at the latest, after there was nothing left to wait for: two of the longest waits,
as one may have begun just before and one put-back may come between, and a backoff of Pub/Sub's."""

ON_THE_WAY = frozenset({"STARTED", "CANCEL_REQUESTED", "DELETE_BLOCKED"})
TURNED_DOWN = frozenset({"REJECTED", "NOTHING_TO_CANCEL", "DRY_RUN"})
"""The command did not come to anything."""

REAL_ENDS = frozenset(
    {"COMPLETED", "COMPLETED_DESPITE_CANCEL", "CANCELLED", "COMPLETED_THEN_DELETED", "COMPLETED_KEPT", "FAILED", "GONE"}
)

SAFE_AFTER_CANCEL = frozenset({"COMPLETED_KEPT", "GAVE_UP", "REJECTED"})
"""What may be said of a backup that was to be stopped and is still there."""


def _last_words(facts: Facts) -> dict[str, list[Outcome]]:
    words: defaultdict[str, list[Outcome]] = defaultdict(list)
    for outcome in facts.outcomes:
        if outcome.name not in ON_THE_WAY:
            words[outcome.command].append(outcome)
    return words


def no_silence(facts: Facts) -> Iterator[str]:
    """Every message has been answered for good and has its last word, and so has every backup that one started."""
    record = facts.record
    if record.unfinished:
        yield record.unfinished
    yield from (f"the function raised {text}" for text in record.raised)
    words = _last_words(facts)
    told = {outcome.command for outcome in facts.outcomes}
    for command in facts.commands.values():
        if command.id in facts.lost:
            continue
        is_many = command.action == "sweep" or "instance" in command.body
        if command.id not in (told if is_many else words):
            yield f"{command.id} {command.body} ended in silence"
    ended = {(outcome.command, outcome.operation) for outcomes in words.values() for outcome in outcomes}
    for attempt in facts.attempts.values():
        if attempt.creator is None:
            continue
        command_id = trigger_of(record.deliveries[attempt.creator.delivery].message)
        if command_id not in facts.lost and (command_id, attempt.operation) not in ended:
            yield f"{attempt.operation} was started for {command_id}, which never told its end"
    for lost, again in record.republished.items():
        if again not in words:
            yield f"{lost} was published again as {again}, which ended in silence"


def one_last_word(facts: Facts) -> Iterator[str]:
    """Different last words of one command about one operation never contradict each other.

    A command that was turned down may be delivered again and find the way clear; a chain that was given up may be
    looked at again and tell the end. What an operation came to is told in one way only.
    """
    for command_id, outcomes in _last_words(facts).items():
        command = facts.commands.get(command_id)
        if command is None or command.action == "sweep":
            continue
        by_operation: defaultdict[str, set[str]] = defaultdict(set)
        for outcome in outcomes:
            attempt = facts.attempts.get(outcome.operation)
            if outcome.name in REAL_ENDS and not _came_to_nothing(attempt):
                by_operation[outcome.operation].add(outcome.name)
        for operation, names in by_operation.items():
            if len(names) > 1:
                yield f"{command_id} says {sorted(names)} of {operation}"
        if len(by_operation) > 1 and "instance" not in command.body:
            yield f"{command_id} tells the end of {sorted(by_operation)}"


def _came_to_nothing(attempt: Attempt | None) -> bool:
    """Whether it ended without a backup and without the function's doing; then to tell of it is to do nothing."""
    return attempt is not None and attempt.canceller is None and attempt.code != GOOD


def same_ids(facts: Facts) -> Iterator[str]:
    """An outcome that is told twice has the same id, and no two different ones share theirs."""
    by_id: dict[str, tuple[str, str]] = {}
    by_subject: dict[tuple[str, str], str] = {}
    for outcome in facts.outcomes:
        about = outcome.operation or outcome.command
        if outcome.name in {"DRY_RUN", "REJECTED"}:
            about = f"{outcome.operation} {outcome.command}"  # These are about the command.
        subject = (about, outcome.name)
        if by_id.setdefault(outcome.id, subject) != subject or by_subject.setdefault(subject, outcome.id) != outcome.id:
            yield f"{subject} has the id {outcome.id}, and not that alone"


def true_words(facts: Facts) -> Iterator[str]:
    """Every last word agrees with what the services saw, and no backup is left behind by a false one."""
    for outcome in facts.outcomes:
        command = facts.commands.get(outcome.command)
        attempt = facts.attempts.get(outcome.operation)
        if command is not None and (why := _untrue(outcome, command, attempt, facts)):
            yield f"{outcome.command} {command.body} says {outcome.name} ({outcome.detail}), but {why}"


def _untrue(outcome: Outcome, command: Command, attempt: Attempt | None, facts: Facts) -> str:  # noqa: C901, PLR0911, PLR0912 one line for each outcome
    at = outcome.told.at
    match outcome.name:
        case "NOTHING_TO_CANCEL" if command.action == "cancel":
            meant = entitlement.meant_by(command, facts)
            sure = [one for one in meant if _surely_meant(one, command)]
            return f"{sure[0].operation} was meant" if sure else ""
        case "GONE":
            known = attempt is not None and (attempt.forgotten_at is None or attempt.forgotten_at > at)
            return "Spanner knew the operation" if known else ""
        case "GAVE_UP":
            return _untrue_give_up(outcome, command, attempt, facts)
        case "REJECTED" if "backup schedule" in outcome.detail:
            blamed = [one for one in facts.attempts.values() if one.operation in outcome.detail]
            return "" if any(one.scheduled for one in blamed) else "no schedule made that"
        case "REJECTED" | "DRY_RUN" | "NOTHING_TO_CANCEL":
            return ""
        case _ if attempt is None:
            return "" if "instance" in command.body else "there is no such operation"
        case _ if command.action == "cancel" and not _about_its_target(command, attempt, facts):
            return f"it meant {[one.operation for one in entitlement.meant_by(command, facts)]}"
        case "CANCEL_REQUESTED":
            received = attempt.cancel_at is not None and attempt.cancel_at <= at
            too_late = attempt.end is not None and attempt.end <= at
            return "" if received or too_late else "no cancel was received"
        case "STARTED" | "DELETE_BLOCKED":
            return ""
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


def _about_its_target(command: Command, attempt: Attempt, facts: Facts) -> bool:
    """Whether a cancel tells of what it meant.

    Where that leaves no backup to deal with, the end of a scheduled one may be told: once its backup is gone, Spanner
    no longer says that a schedule made it.
    """
    meant = entitlement.meant_by(command, facts)
    if attempt in meant:
        return True
    left = [one for one in meant if _surely_meant(one, command) and one.code in {"", GOOD} and one.gone_at is None]
    return attempt.scheduled and not left and entitlement.describes(command, attempt)


def _surely_meant(attempt: Attempt, command: Command) -> bool:
    """Whether the target ran when the command was published, or had just ended, whatever the clocks say."""
    if "operation" in command.body and attempt.start > command.at - entitlement.CLOCKS:
        return attempt.end is None or attempt.end > command.at
    started = attempt.start <= command.at - entitlement.CLOCKS
    return started and (attempt.end is None or attempt.end >= command.at - entitlement.GRACE + entitlement.CLOCKS)


def _untrue_give_up(outcome: Outcome, command: Command, attempt: Attempt | None, facts: Facts) -> str:
    since = max(command.at, attempt.start) if attempt is not None else command.at
    early = outcome.told.at + facts.skew + entitlement.CLOCKS < since + facts.record.deployment.give_up_after
    return "it was too early to give up" if early else ""


def _untrue_kept(command: Command, attempt: Attempt, facts: Facts, at: datetime) -> str:
    """A backup may be kept because somebody says so, because it isn't the one, or because it was done in time."""
    if not command.deletes or not facts.record.deployment.allow_delete:
        return ""
    if attempt.scheduled and not command.includes_scheduled:
        return ""
    if attempt.gone_at is not None and attempt.gone_at <= at:
        return "its backup was gone"
    unwanted = entitlement.unwanted_from(command, attempt, facts)
    if unwanted is not None and attempt.end is not None and attempt.end > unwanted + entitlement.CLOCKS:
        return "it was to be deleted"
    return ""


def all_in_time(facts: Facts) -> Iterator[str]:
    """After the faults have stopped the last word comes within the bound, and what was to go is accounted for."""
    released = _released_at(facts)
    calm = _calm_at(facts)
    for command_id, outcomes in _last_words(facts).items():
        if command_id in facts.lost or command_id not in facts.commands:
            continue
        first: dict[str, Outcome] = {}
        for outcome in outcomes:
            first.setdefault(outcome.operation, outcome)
        for outcome in first.values():
            command = facts.commands[command_id]
            attempt = facts.attempts.get(outcome.operation)
            due = max(calm.get(command_id, command.at), command.at)
            if attempt is not None:
                give_up = max(attempt.start, command.at) + facts.record.deployment.give_up_after
                done = max(attempt.end or give_up, released.get(attempt.backup, attempt.start))
                due = max(due, min(done, give_up))
            late = outcome.told.at - due - BOUND - facts.skew
            if late > timedelta(0):
                yield f"{command_id} {command.body} told {outcome.name} only at {outcome.told.at}, {late} too late"
    yield from _left_behind(facts)


def _released_at(facts: Facts) -> dict[str, datetime]:
    """When the last restore or copy let go of each backup that one needed; far in the future if one still does."""
    users: Counter[str] = Counter()
    released: dict[str, datetime] = {}
    for event in facts.record.events:
        if event.what is What.REFERENCE_ADDED:
            users[event.resource] += 1
            released[event.resource] = datetime.max.replace(tzinfo=UTC)
        elif event.what is What.REFERENCE_REMOVED:
            users[event.resource] -= 1
            if not users[event.resource]:
                released[event.resource] = event.at
    return released


def _calm_at(facts: Facts) -> dict[str, datetime]:
    """From when on nothing stood in a command's way: faults have stopped, and what they held up has arrived."""
    healed = facts.record.healed_at or facts.record.events[-1].at  # One that was stopped before is a finding anyway.
    calm: defaultdict[str, datetime] = defaultdict(lambda: healed)
    for delivery in facts.record.deliveries:
        if delivery.attempt == 1 and delivery.message.publish_time - entitlement.CLOCKS <= healed:
            trigger = trigger_of(delivery.message)
            calm[trigger] = max(calm[trigger], delivery.begin)
    return {command_id: calm[command_id] for command_id in facts.commands}


def _left_behind(facts: Facts) -> Iterator[str]:
    """No backup that the function cancelled is there at the end, unless an outcome or a command says why."""
    words = _last_words(facts)
    swept = bool(facts.record.last_sweep) and facts.record.last_sweep not in facts.lost
    for attempt in facts.attempts.values():
        if attempt.canceller is None or attempt.code != GOOD or attempt.gone_at is not None:
            continue
        command_id = trigger_of(facts.record.deliveries[attempt.canceller.delivery].message)
        command = facts.commands.get(command_id)
        if command is None or not command.deletes or command.action == "sweep":
            continue
        said = {outcome.name for outcome in words.get(command_id, ()) if outcome.operation == attempt.operation}
        accounted = said & (SAFE_AFTER_CANCEL | {"COMPLETED_DESPITE_CANCEL"})
        blocked = any(one.operation == attempt.operation and one.name == "DELETE_BLOCKED" for one in facts.outcomes)
        if command_id in facts.lost and not swept:
            continue
        if not accounted and not blocked and facts.record.deployment.allow_delete:
            yield f"{attempt.backup} was cancelled for {command_id}, completed, and is still there: {sorted(said)}"
