"""Claims about how things end: always, once, and in time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from spanner_backup_emulator.pubsub.model import published_at
from spanner_backup_emulator.spanner.history import What
from tests.simulation import entitlement
from tests.simulation.facts import GOOD, Attempt, Command, Facts, Outcome
from tests.simulation.history import database_name

BOUND = timedelta(hours=2, minutes=30)
"""The last word comes this long, at the latest, after nothing was left to wait for: two of the longest waits, as
one may have begun just before and one put-back may come between (an hour each), a backoff of Pub/Sub's (10 minutes),
and 20 minutes to spare."""

ON_THE_WAY = frozenset({"STARTED", "CANCEL_REQUESTED", "DELETE_BLOCKED"})

REAL_ENDS = frozenset(
    {"COMPLETED", "COMPLETED_DESPITE_CANCEL", "CANCELLED", "COMPLETED_THEN_DELETED", "COMPLETED_KEPT", "FAILED", "GONE"}
)

SAFE_AFTER_CANCEL = frozenset({"COMPLETED_KEPT", "GAVE_UP", "REJECTED"})
"""What may be said of a backup that was to be stopped and is still there."""

RETRY_FROM_ATTEMPT = 4
"""From this attempt on a message is put back, and not refused, where it could become a dead letter (after 5, at the
earliest)."""

REFUSED = 503


def _last_words(facts: Facts) -> dict[str, list[Outcome]]:
    words: defaultdict[str, list[Outcome]] = defaultdict(list)
    for outcome in facts.outcomes:
        if outcome.name not in ON_THE_WAY or outcome.is_summary:
            words[outcome.command].append(outcome)
    return words


def no_silence(facts: Facts) -> Iterator[str]:
    """Every message has been answered for good and has its last word, and so has every backup that one started."""
    record = facts.record
    if record.unfinished:
        yield record.unfinished
    yield from (f"the function raised {text}" for text in record.raised)
    if record.faults_known:
        yield from _refused_without_need(facts)
    words = _last_words(facts)
    told = {outcome.command for outcome in facts.outcomes}
    for command in facts.commands.values():
        if command.id in facts.lost:
            continue
        if command.action == "start" and "instance" in command.body:
            yield from _not_summed_up(command, words.get(command.id, ()), facts)
        elif command.id not in (told if command.action == "sweep" else words):
            yield f"{command.id} {command.body} ended in silence"
    yield from _lost_backups(words, facts)
    for lost, again in record.republished.items():
        if again not in words:
            yield f"{lost} was published again as {again}, which ended in silence"


def _lost_backups(words: dict[str, list[Outcome]], facts: Facts) -> Iterator[str]:
    """Backups that were started, and whose end was never told."""
    ended = {(outcome.command, outcome.operation) for outcomes in words.values() for outcome in outcomes}
    given_up = {outcome.command for outcome in facts.outcomes if _gave_up_unseen(outcome, facts)}
    followed = {(follow_up.command, follow_up.about) for follow_up in facts.follow_ups}
    for attempt in facts.attempts.values():
        if attempt.creator is None:
            continue
        command_id = facts.command_behind(attempt.creator)
        unseen = command_id in given_up and (command_id, f"poll {attempt.operation}") not in followed
        command = facts.commands.get(command_id)
        unseen |= not attempt.good and command is not None and entitlement.began_anew(command, facts)
        if command_id not in facts.lost and not unseen and (command_id, attempt.operation) not in ended:
            yield f"{attempt.operation} was started for {command_id}, which never told its end"


def _refused_without_need(facts: Facts) -> Iterator[str]:
    """No message is refused once the faults have stopped, nor so often that it could become a dead letter.

    A message that the function can't put back, as the queue fails it as well, or can't answer, as the topic of the
    results does, is refused all the same.
    """
    healed, may_die = facts.record.healed_at, facts.record.deployment.dead_letter_after is not None
    for delivery in facts.record.deliveries:
        if delivery.status != REFUSED:
            continue
        if healed is not None and delivery.begin > healed:
            yield f"delivery {delivery.number} was refused, and nothing stood in its way"
        stuck = {"CreateTask", "Publish"}.intersection(method for method, _ in delivery.refused)
        if may_die and delivery.attempt >= RETRY_FROM_ATTEMPT and not stuck:
            yield f"delivery {delivery.number} was refused for the {delivery.attempt}th time, and not retried"


def _not_summed_up(command: Command, words: Sequence[Outcome], facts: Facts) -> Iterator[str]:
    """A start of many ends with a summary, in which each of the databases that it means has its place."""
    summaries = [outcome for outcome in words if outcome.is_summary]
    if not summaries:
        yield f"{command.id} {command.body} was never summed up"
    databases = facts.record.deployment.databases
    meant = {database for database in databases if entitlement.names_database(command, database_name(database))}
    for outcome in summaries:
        if outcome.name == "STARTED" and outcome.databases is None:
            yield f"{command.id} {command.body} doesn't say what it has started"
        if outcome.databases is not None and (left_out := meant - outcome.databases.keys()):
            yield f"{command.id} {command.body} says nothing of {sorted(left_out)}"


def _gave_up_unseen(outcome: Outcome, facts: Facts) -> bool:
    """Whether a command was given up as a whole, by a function that was never let see what it had begun."""
    healed = facts.record.healed_at
    return outcome.name == "GAVE_UP" and outcome.is_summary and (healed is None or outcome.told.at <= healed)


def one_last_word(facts: Facts) -> Iterator[str]:
    """Different last words of one command about one operation never contradict each other.

    A command that was turned down may be delivered again and find the way clear; a chain that was given up may be
    looked at again and tell the end. What an operation came to is told in one way only. And a command tells the end of
    one operation, unless the clocks leave open whether another one ran when it was published. If it comes again with
    another publish time, its limit is another one.
    """
    for command_id, outcomes in _last_words(facts).items():
        command = facts.commands.get(command_id)
        if command is None or command.action == "sweep":
            continue
        by_operation: defaultdict[str, set[str]] = defaultdict(set)
        for outcome in outcomes:
            attempt = facts.attempts.get(outcome.operation)
            seen_wrongly = attempt is not None and attempt.backup in facts.record.misread
            # Where Spanner's answer doesn't say that a schedule made it, only a poll of the backup can tell.
            unsaid = attempt is not None and attempt.scheduled and facts.record.deployment.brief_answers
            # What stayed, somebody else may delete afterwards.
            deleted_since = attempt is not None and attempt.gone_at is not None and attempt.deleter is None
            if outcome.name == "COMPLETED_KEPT" and (seen_wrongly or unsaid or deleted_since):
                continue  # It says what was seen, and a later poll may see more.
            if outcome.name in REAL_ENDS and not _came_to_nothing(attempt, command_id, facts):
                by_operation[outcome.operation].add(outcome.name)
        for operation, names in by_operation.items():
            if len(names) > 1 and len(command.stamps) == 1:
                yield f"{command_id} says {sorted(names)} of {operation}"
        sure = [operation for operation in by_operation if not _may_be_later(operation, command, facts)]
        if len(sure) > 1 and "instance" not in command.body and not entitlement.began_anew(command, facts):
            yield f"{command_id} tells the end of {sorted(by_operation)}"


def _came_to_nothing(attempt: Attempt | None, command_id: str, facts: Facts) -> bool:
    """Whether it ended without a backup, and not on account of this command; then to tell of it is to do nothing."""
    if attempt is None or attempt.code == GOOD:
        return False
    return attempt.canceller is None or facts.command_behind(attempt.canceller) != command_id


def _may_be_later(operation: str, command: Command, facts: Facts) -> bool:
    """Whether an operation that is no start's own may have been started before a command as well as after it."""
    attempt = facts.attempts.get(operation)
    return command.action != "start" and attempt is not None and attempt.start > command.asked - entitlement.CLOCKS


def same_ids(facts: Facts) -> Iterator[str]:
    """An outcome that is told twice has the same id, and no two different ones share theirs."""
    by_id: dict[str, tuple[str, str]] = {}
    by_subject: dict[tuple[str, str], str] = {}
    for outcome in facts.outcomes:
        if (command := facts.commands.get(outcome.command)) is not None and command.odd:
            continue  # It has no id that could tell it from another.
        about = outcome.operation or outcome.command
        if outcome.name in {"DRY_RUN", "REJECTED", "NOTHING_TO_CANCEL", "GAVE_UP"}:
            about = f"{outcome.operation} {outcome.command}"  # These are about the command.
        subject = (about, outcome.name)
        if by_id.setdefault(outcome.id, subject) != subject or by_subject.setdefault(subject, outcome.id) != outcome.id:
            yield f"{subject} has the id {outcome.id}, and not that alone"


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
    quiet = facts.record.quiet_from or facts.record.events[-1].at  # One that was stopped before is a finding anyway.
    calm: defaultdict[str, datetime] = defaultdict(lambda: quiet)
    for delivery in facts.record.deliveries:
        if delivery.attempt == 1 and published_at(delivery.message) - entitlement.CLOCKS <= quiet:
            trigger = facts.command_of(delivery)
            calm[trigger] = max(calm[trigger], delivery.begin)
    return {command_id: calm[command_id] for command_id in facts.commands}


def _left_behind(facts: Facts) -> Iterator[str]:
    """No backup that the function cancelled is there at the end, unless an outcome or a command says why."""
    words = _last_words(facts)
    swept = bool(facts.record.last_sweep) and facts.record.last_sweep not in facts.lost
    for attempt in facts.attempts.values():
        if attempt.canceller is None or attempt.code != GOOD or attempt.gone_at is not None:
            continue
        command_id = facts.command_behind(attempt.canceller)
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
