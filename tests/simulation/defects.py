"""Mistakes that are planted at the function's seams, each to be found: the proof that the proof can fail.

Three kinds: every cell of the transition table with another rule in it, every guard left out, and mistakes at the seams
around them: the ports, the selection, the names of follow-ups, and what an error means.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from msgspec import structs

from backstop import start, wire
from backstop.commands import Cancel
from backstop.errors import RefusedError, TransientError
from backstop.events import Outcome
from backstop.execute import Context, Report, execute
from backstop.followups import FanOut, FollowUp, Intent, Poll
from backstop.lifecycle import GRACE, GUARDS, TRANSITIONS, Action, Case, Decision, Guard, Rule, State
from backstop.names import OperationName
from backstop.operations import Listing
from backstop.selection import Choice, derived_backup_id
from spanner_backup_emulator.messages import Message
from tests.simulation.planting import Defect, Make

Any_ = Callable[..., Any]

NO_TIME, AGES = timedelta(0), timedelta(days=7)
SPANNER = "tests.simulation.calls:WorldSpanner"

WRONG = {
    Action.POLL: Rule(Action.REPORT, Outcome.GONE),
    Action.CANCEL: Rule(Action.POLL),
    Action.DELETE: Rule(Action.REPORT, Outcome.COMPLETED_KEPT),
    Action.SHORTEN: Rule(Action.REPORT, Outcome.GAVE_UP),
    Action.REPORT: Rule(Action.POLL),
}
"""What stands in the place of a rule: nothing is done of what should be, or something else is said."""


def _swap(title: str, where: str, make: Make) -> Defect:
    return Defect(title, ((where, make),))


def _answers(value: object) -> Make:
    return lambda _: lambda *_, **__: value  # A function that always says the same.


def _cell(state: State, intent: Intent) -> Defect:
    rule = TRANSITIONS[state][intent]
    changed = {**TRANSITIONS, state: {**TRANSITIONS[state], intent: WRONG[rule.action]}}
    return _swap(f"the rule of {state} under {intent} is another", "backstop.lifecycle:TRANSITIONS", lambda _: changed)


def _without(*names: str) -> tuple[str, Make]:
    def fewer(guards: tuple[Guard, ...]) -> object:
        left = tuple(guard for guard in guards if guard.name not in names)
        assert len(left) == len(guards) - len(names)
        return left

    return ("backstop.lifecycle:GUARDS", fewer)


def _guard(guard: Guard) -> Defect:
    return Defect(
        f"nothing guards a backup of which holds: {guard.name}", (_without(guard.name), *SEEN.get(guard.name, ()))
    )


def _named(change: Callable[[Any], FollowUp]) -> Make:
    """Has a follow-up named as if it were another."""
    return lambda identity: lambda follow_up, again="": identity(change(follow_up), again)


def _trigger(**fields: object) -> Make:
    return _named(lambda one: structs.replace(one, trigger=structs.replace(one.trigger, **fields)))


def _silent(schedule: Any_) -> Any_:
    def quiet(*args: object) -> None:
        with suppress(TransientError):
            schedule(*args)

    return quiet


def _unsigned(get_backup: Any_) -> Any_:
    """A complete backup no longer says who made it."""

    def unsigned(*args: object) -> object:
        found = get_backup(*args)
        return replace(found, schedules=()) if found.size_bytes else found

    return unsigned


def _unused(backup_of: Any_) -> Any_:
    """A backup doesn't say which copies are being made from it."""

    def unused(described: Message) -> object:
        return replace(backup_of(described), referenced_by=tuple(described.referencing_databases))

    return unused


def _contains(list_operations: Any_) -> Any_:
    """Spanner's filter is believed, which says contains and not equals."""

    def listed(port: object, instance: str, *, database: str | None = None, backup: str | None = None) -> Listing:
        found = list_operations(port, instance, backup=backup)
        return Listing(tuple(one for one in found.operations if (database or "") in one.database), found.unhandled)

    return listed


def _whole_name(_: Any_) -> Any_:
    """Looks for the whole name, with the time in it."""
    return lambda operations, database, trigger: next(
        (one for one in operations if one.backup.id == derived_backup_id(database, trigger)), None
    )


def _believing(parse: Any_) -> Any_:
    """The topic that a body names is believed."""

    def parsed(body: bytes, *args: object) -> wire.Delivery:
        delivery: wire.Delivery = parse(body, *args)
        source = ""
        with suppress(ValueError, AttributeError):
            source = str(json.loads(body).get("source", ""))
        topic = source.removeprefix("//pubsub.googleapis.com/")
        return replace(delivery, topic=topic) if topic.startswith("projects/") else delivery

    return parsed


def _late(meant: Any_) -> Any_:
    """A cancel by database may be late by the grace."""

    def chosen(command: Cancel, listing: Listing, choice: Choice, *more: Any_, late: bool) -> object:
        return meant(command, listing, choice, *more, late=late) or choice.late

    return chosen


def _stubborn(decide: Any_) -> Any_:
    """What is complete and unwanted is deleted, whoever made it."""

    def decided(case: Case) -> Decision:
        decision: Decision = decide(case)
        deletes = decision.guard is not None and case.found is not None
        return Decision(decision.state, Rule(Action.DELETE, Outcome.COMPLETED_THEN_DELETED)) if deletes else decision

    return decided


def _by_the_poll(intent_of: Any_) -> Any_:
    """A limit is held against the time of the poll, and not of the end."""

    def intent(case: Case) -> Intent:
        limit = case.poll.unwanted_from
        return Intent.CANCEL if limit is not None and case.now >= limit else intent_of(case)

    return intent


def _deaf(act: Any_) -> Any_:
    """A blocked delete counts as done."""

    def acted(*args: object) -> None:
        act(*args)

    return acted


def _too_young(get: Any_) -> Any_:
    """An operation that is named is too young for the command by another's clock."""

    def got(name: OperationName, context: Context) -> object:
        found = get(name, context)
        return found if found is None or found.start_time <= context.trigger.publish_time else None

    return got


def _over_and_over(get: Any_) -> Any_:
    """An operation that can't be read is read twenty times in one delivery."""

    def got(name: OperationName, context: Context) -> object:
        for _ in range(20):
            with suppress(RefusedError):
                return get(name, context)
        return get(name, context)

    return got


def _dropped(retry: Any_) -> Any_:
    return lambda message, *more: Report() if isinstance(message, Poll) else retry(message, *more)


def _acknowledged(refuse: Any_) -> Any_:
    return lambda error: replace(refuse(error), retry=False)


ASKED, TAKEN, USED = (GUARDS[place].name for place in (5, 6, 3))
_IS_SCHEDULED = ("backstop.handlers:is_scheduled", _answers(value=False))

SEEN: dict[str, tuple[tuple[str, Make], ...]] = {
    # A backup that a schedule made isn't followed, so that its guard is asked only where the first check failed.
    GUARDS[7].name: (_IS_SCHEDULED,),
    # These two see the same backup from two sides; only without both it is deleted.
    TAKEN: (_without(USED),),
    USED: (),
    # Nobody asks about what is complete already.
    ASKED: (("backstop.selection:meant", _late),),
}
"""What must be wrong beside a guard for its absence to be seen from outside."""

CELLS = tuple(_cell(state, intent) for state, row in TRANSITIONS.items() for intent in row)

SEAMS = (
    Defect(
        "a cancel by database may be late by the grace",
        (
            ("backstop.selection:meant", _late),
            ("backstop.handlers:_unwanted_from", lambda _: lambda _command, _operation, published: published - GRACE),
        ),
    ),
    _swap(
        "an operation that can't be read is overlooked",
        f"{SPANNER}.list_operations",
        lambda listed: lambda *args, **named: Listing(listed(*args, **named).operations),
    ),
    _swap("a start takes any backup of its name for its own", "backstop.selection:is_marked", _answers(value=True)),
    _swap("a start doesn't look for what it has started before", "backstop.start:_own", _answers(value=None)),
    _swap("a late command stops what began after it", "backstop.selection:is_in_doubt", _answers(value=False)),
    _swap("a doubled cancel goes on to the next backup", "backstop.selection:_may_be_stopped", _answers(value=False)),
    _swap("a refusal to cancel is an error", "backstop.execute:TOO_LATE", lambda was: {**was, Action.CANCEL: ()}),
    _swap("a cancel finds nothing that began since by any clock", "backstop.selection:CLOCK_MARGIN", lambda _: NO_TIME),
    _swap("a derived name is looked for with the time in it", "backstop.selection:derived_attempt", _whole_name),
    _swap("a chain's names leave the topic out", "backstop.followups:identity", _trigger(topic="")),
    _swap("a chain's names leave the command's message id out", "backstop.followups:identity", _trigger(message_id="")),
    _swap(
        "a poll is named for its backup and not for its operation",
        "backstop.followups:identity",
        _named(
            lambda one: (
                structs.replace(one, operation=OperationName(f"{one.operation.backup}/operations/any"))
                if isinstance(one, Poll)
                else one
            )
        ),
    ),
    _swap(
        "a poll is retried under its old step",
        "backstop.followups:identity",
        _named(lambda one: structs.replace(one, step=one.step - 1) if isinstance(one, Poll) and one.failures else one),
    ),
    _swap(
        "a follow-up's name differs with each delivery that makes it",
        "backstop.execute:Context.schedule",
        lambda schedule: lambda context, one, wait, again="": schedule(context, one, wait, f"{again}{context.now}"),
    ),
    _swap("the topic that a body names is believed", "backstop.wire:parse_delivery", _believing),
    _swap(
        "a publish time that can't be is believed",
        "backstop.wire:_publish_time",
        lambda _: lambda text, now: datetime.fromisoformat(text) if text else now,
    ),
    _swap(
        "a follow-up is believed wherever it comes from",
        "backstop.dispatch:_understood",
        lambda _: lambda one, _: wire.parse_follow_up(one.data) if one.is_follow_up else wire.parse_command(one.data),
    ),
    _swap("a backup doesn't say which copies need it", "backstop.descriptions:read_backup", _unused),
    _swap("a complete backup doesn't say that a schedule made it", f"{SPANNER}.get_backup", _unsigned),
    _swap(
        "the list's filter is believed, which says contains",
        "tests.support.ports:SpannerPort.list_operations",
        _contains,
    ),
    _swap(
        "an expiry is brought forward into the past",
        "tests.support.ports:SpannerPort.set_expire_time",
        lambda to_set: lambda port, name, at: to_set(port, name, at - timedelta(days=3)),
    ),
    _swap("a cancel is told and never sent", f"{SPANNER}.cancel_operation", _answers(value=None)),
    _swap("a follow-up that can't be scheduled is forgotten", "tests.support.ports:QueuePort.schedule", _silent),
    _swap(
        "a deletion is logged without a reason",
        "tests.simulation.calls:WorldEvents.announce_deletion",
        lambda announce: lambda port, event: announce(port, structs.replace(event, detail="")),
    ),
    Defect("no guard is asked", (("backstop.lifecycle:decide", _stubborn),)),
    _swap(
        "a backup that can't be found once counts as gone",
        "backstop.lifecycle:GUARDS",
        lambda guards: tuple(guard._replace(next_poll_may_know=lambda _: False) for guard in guards),
    ),
    _swap("a chain is never given up", "backstop.lifecycle:Case.is_late", lambda _: property(lambda _: False)),
    Defect(
        "a limit is held against the time of the poll, and not of the end",
        (("backstop.lifecycle:intent_of", _by_the_poll), ("backstop.lifecycle:was_unwanted", _answers(value=True))),
    ),
    _swap("a blocked delete counts as done", "backstop.execute:_act", _deaf),
    _swap("a schedule's backup is stopped like any other", *_IS_SCHEDULED),
    _swap("a dry run of a cancel cancels", "backstop.handlers:rehearse", lambda _: execute),
    _swap(
        "a dry run of a start starts",
        "backstop.start:_rehearse",
        lambda _: lambda command, _1, _2, context: start.start(structs.replace(command, dry_run=False), context),
    ),
    Defect(
        "a cancel means what ended long ago, and deletes it",
        (("backstop.selection:GRACE", lambda _: AGES), ("backstop.lifecycle:was_unwanted", _answers(value=True))),
    ),
    _swap(
        "a command means what runs when it arrives, and not when it was published",
        "backstop.selection:ran",
        lambda _: lambda operation, _: not operation.done,
    ),
    _swap("an operation that is named is too young for the command", "backstop.handlers:_get", _too_young),
    _swap("an operation that can't be read is read over and over", "backstop.handlers:_get", _over_and_over),
    _swap(
        "too many calls mean never, and not later",
        "backstop.errors:kind_of",
        lambda kind_of: lambda code: RefusedError if code == "RESOURCE_EXHAUSTED" else kind_of(code),
    ),
    _swap("a poll that Google refuses is dropped", "backstop.dispatch:_requeue", _dropped),
    _swap("a delivery that must be retried is answered 2xx", "backstop.dispatch:_redeliver", _acknowledged),
    _swap(
        "a message that is no command is refused for ever",
        "backstop.dispatch:_not_understood",
        _answers(Report(retry=True)),
    ),
    _swap(
        "a command that was begun is rejected when a role is missing", "backstop.dispatch:_waits", _answers(value=False)
    ),
    _swap(
        "the next of many starts is retried under a name of its own",
        "backstop.followups:identity",
        lambda identity: (
            lambda one, again="": (
                identity(structs.replace(one, step=one.step + 1))
                if isinstance(one, FanOut) and one.failures
                else identity(one, again)
            )
        ),
    ),
    _swap("a start that comes too late is carried out", "backstop.start:_too_late", _answers(value="")),
    _swap(
        "giving up is counted from the operation's start alone",
        "backstop.handlers:give_up_at",
        lambda _: lambda operation, context: operation.start_time + context.settings.give_up_after,
    ),
    _swap("what hangs is polled as if it were about to end", "backstop.polling:SURPRISE_MAX", lambda _: 1e9),
    _swap(
        "an event's id differs with each telling",
        "backstop.events:Event.event_id",
        lambda _: property(lambda event: f"{event.operation}{event.trigger.message_id}{event.outcome}{event.steps}"),
    ),
    _swap(
        "a sweep overlooks what was left behind",
        "backstop.handlers:_is_due",
        lambda is_due: lambda command, operation, context: not operation.done and is_due(command, operation, context),
    ),
)

RARE = {"MISSING under KEEP", "MISSING under CANCEL", "UNDELETABLE under CANCEL", "LEFT_TO_EXPIRE under CANCEL"}
_ALL = (*CELLS, *(_guard(guard) for guard in GUARDS), *SEAMS)

ONLY_IN_CASES = (
    _swap("what a start of many carries has no bound", "backstop.start:_reason_bytes", _answers(value=10_000)),
    _swap(
        "somebody's cancel lifts the doubt",
        "backstop.selection:is_in_doubt",
        lambda was: lambda operation, published: was(operation, published) and operation.cancel_time is None,
    ),
    _swap("a follow is of any night", "backstop.handlers:DUE_WITHIN", lambda _: AGES),
    *(one for one in _ALL if any(word in one.title for word in (*RARE, "nobody knows", "goes on to the next"))),
)
"""Each is found by a history that is written down, as it takes what random ones hardly have."""

DEFECTS = tuple(one for one in _ALL if one not in ONLY_IN_CASES)
