"""Defects that are planted into the function by the tests, each to be found: the proof that the proof can fail."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from backstop.errors import TransientError
from backstop.execute import Report
from backstop.operations import Listing
from backstop.selection import derived_backup_id
from tests.simulation.planting import Defect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backstop.events import Trigger
    from backstop.lifecycle import Guard
    from backstop.names import DatabaseName
    from backstop.operations import Operation
    from emulators.spanner import records
    from tests.simulation.planting import Make

    Method = Callable[..., Any]

NO_TIME = timedelta(0)
SPANNER = "tests.simulation.calls:WorldSpanner"


def _edits(title: str, *edits: tuple[str, str, str], swaps: tuple[tuple[str, Make], ...] = ()) -> Defect:
    return Defect(title, swaps, edits)


def _swap(title: str, where: str, make: Make) -> Defect:
    return Defect(title, ((where, make),))


def _answers(value: object) -> Make:
    """Makes a function that always says the same."""
    return lambda _: lambda *_, **__: value


def _without_guard(name: str) -> tuple[str, Make]:
    """Takes out one of the reasons not to delete."""

    def fewer(guards: tuple[Guard, ...]) -> object:
        left = tuple(guard for guard in guards if guard.name != name)
        assert len(left) == len(guards) - 1
        return left

    return ("backstop.lifecycle:GUARDS", fewer)


def _silent(schedule: Method) -> Method:
    def quiet(*args: object) -> None:
        with suppress(TransientError):
            schedule(*args)

    return quiet


def _unread(list_operations: Method) -> Method:
    return lambda *args, **named: Listing(list_operations(*args, **named).operations)


def _unsigned(get_backup: Method) -> Method:
    """A complete backup no longer says who made it."""

    def unsigned(*args: object) -> object:
        found = get_backup(*args)
        return replace(found, schedules=()) if found.size_bytes else found

    return unsigned


def _unused(backup_of: Method) -> Method:
    """A backup doesn't say which copies are being made from it."""

    def unused(record: records.Backup) -> object:
        return replace(backup_of(record), referenced_by=record.referencing_databases)

    return unused


def _too_early(set_expire_time: Method) -> Method:
    return lambda port, name, expire_time: set_expire_time(port, name, expire_time - timedelta(days=3))


def _by_whole_name(_: Method) -> Method:
    """Looks for the whole name, with the time in it."""

    def found(operations: Sequence[Operation], database: DatabaseName, trigger: Trigger) -> object:
        wanted = derived_backup_id(database, trigger)
        return next((one for one in operations if one.backup.id == wanted), None)

    return found


_OLDER = "operation.end_time is not None and found.create_time >= operation.end_time"
_ASKED = "it was complete before anybody asked"
_OTHER = "another backup has its name"
_IS_SCHEDULED = ("backstop.handlers:is_scheduled", _answers(value=False))

_AGAIN = """        for _ in range(20):
            try:
                return at.ports.spanner.get_operation(name)
            except RefusedError:
                pass
        raise"""

DEFECTS = (
    _edits(
        "a cancel by database may be late by the grace",
        ("backstop.handlers:_meant", "choice.late if command.backup is not None else None", "choice.late"),
        (
            "backstop.handlers:_carry_out",
            "published + CLOCK_MARGIN if command.database is not None else published - GRACE",
            "published - GRACE",
        ),
    ),
    _swap("an operation that can't be read is overlooked", f"{SPANNER}.list_operations", _unread),
    _swap("a start takes any backup of its name for its own", "backstop.selection:is_marked", _answers(value=True)),
    _swap("a cancel that Spanner refuses as too late is an error", "backstop.looks:TOO_LATE", lambda _: frozenset()),
    _swap(
        "a cancel finds nothing that started since by any clock", "backstop.selection:CLOCK_MARGIN", lambda _: NO_TIME
    ),
    _swap("a derived name is looked for with the time in it", "backstop.selection:derived_attempt", _by_whole_name),
    _edits("a chain's names leave the topic out", ("backstop.followups:identity", "{follow_up.trigger.topic}\\n", "")),
    _edits(
        "a chain's names leave the command's message id out",
        ("backstop.followups:identity", "{follow_up.trigger.message_id}\\n", ""),
    ),
    _edits(
        "a look is named for its backup and not for its operation",
        ("backstop.followups:identity", "look {operation}", "look {operation.backup}"),
    ),
    _edits(
        "the topic that a body names is believed",
        ("backstop.wire:parse_delivery", "if source and not _is_topic(topic) else topic", "or topic"),
        ("backstop.wire:_envelope", "(_EVENTARC_SOURCE + source if", "(source if"),
    ),
    _swap(
        "a publish time that can't be is believed",
        "backstop.wire:_publish_time",
        lambda _: lambda text, now: datetime.fromisoformat(text) if text else now,
    ),
    _swap("a backup doesn't say which copies need it", "tests.support.ports:_backup", _unused),
    _swap("a complete backup doesn't say that a schedule made it", f"{SPANNER}.get_backup", _unsigned),
    _swap("an expiry is brought forward into the past", "tests.support.ports:SpannerPort.set_expire_time", _too_early),
    _swap(
        "a deletion is logged without a reason",
        f"{SPANNER}.delete_backup",
        lambda delete: lambda port, name, _: delete(port, name, ""),
    ),
    _edits(
        "a backup that is not found once counts as gone",
        ("backstop.deletion:judge", 'passing=look.missing != "backup"', "passing=False"),
    ),
    _edits(
        "whatever has the name now is deleted",
        ("backstop.deletion:judge", _OLDER, "False"),
        swaps=(_without_guard("another backup has its name"),),
    ),
    _edits(
        "a sweep deletes whatever has the name now",
        ("backstop.sweep:_clean_up", "found.create_time != operation.response.create_time", "False"),
        ("backstop.deletion:judge", _OLDER, "False"),
        swaps=(_without_guard("another backup has its name"),),
    ),
    _edits("a backup whose name was used again is said to be kept", ("backstop.deletion:judge", _OLDER, "False")),
    _edits(
        "a backup is deleted before anybody looks at it",
        (
            "backstop.deletion:judge",
            "    keeps = look",
            "    at.ports.spanner.delete_backup(operation.backup, 'x')\n    keeps = look",
        ),
    ),
    _edits(
        "a look is put back under its old step",
        ("backstop.dispatch:_put_back", "step=message.step + 1, failures", "step=message.step, failures"),
    ),
    _edits(
        "a delivery that must be retried is answered 2xx", ("backstop.dispatch:_refuse", "retry=True", "retry=False")
    ),
    _swap("a follow-up that can't be scheduled is forgotten", "tests.support.ports:QueuePort.schedule", _silent),
    _edits(
        "the list's filter is believed, which says contains and not equals",
        (
            "tests.support.ports:SpannerPort.list_operations",
            "database in {None, record.database}",
            "(database or '') in record.database",
        ),
    ),
    _edits(
        "the grace is added where it should be taken off",
        ("backstop.handlers:_carry_out", "published - GRACE", "published + GRACE"),
    ),
    _edits(
        "giving up forgets to report",
        ("backstop.chain:poll_again", "at.tell(*told, give_up(at, look, why, operation))", "at.tell(*told)"),
    ),
    _edits("a chain is never given up", ("backstop.chain:poll_again", "at.now >= look.give_up_at", "False")),
    Defect(
        "a schedule's backup is deleted like any other",
        (_without_guard("a backup schedule made it"), _IS_SCHEDULED),
    ),
    Defect("a schedule's backup is stopped like any other", (_IS_SCHEDULED,)),
    _edits(
        "a backup that took over the name says who made the one before it",
        (
            "backstop.handlers:is_scheduled",
            "    if not found.schedules:\n        return False",
            "    return bool(found.schedules)",
        ),
    ),
    _edits("a dry run of a cancel cancels", ("backstop.handlers:_act_or_say", "not command.dry_run", "True")),
    _edits("a dry run of a start starts", ("backstop.start:start", "command.dry_run", "False")),
    _swap("a start doesn't look for what it has started before", "backstop.start:_own", _answers(value=None)),
    _edits(
        "a cancel means what was started after it",
        (
            "backstop.selection:choose",
            "published < one.start_time <= published + CLOCK_MARGIN",
            "published < one.start_time",
        ),
    ),
    _edits(
        "a cancel means what ended long ago, and deletes it",
        ("backstop.selection:choose", "last.end_time >= published - GRACE", "True"),
        swaps=(_without_guard(_ASKED),),
    ),
    _edits(
        "a limit is held against the time of the look, and not of the end",
        ("backstop.lifecycle:intent_now", "operation.end_time if operation.done else now", "now"),
        swaps=(_without_guard(_ASKED),),
    ),
    _edits(
        "a follow-up is believed wherever it comes from",
        ("backstop.dispatch:_understood", "delivery.topic != unquoted(settings.follow_ups_topic)", "False"),
    ),
    Defect("backups are deleted where that is switched off", (_without_guard("the deployment keeps everything"),)),
    Defect("if_created: keep is overlooked", (_without_guard("the command keeps it"),)),
    _edits(
        "too many calls mean never, and not later",
        ("backstop.dispatch:_after_error", "isinstance(error, RefusedError)\n", "isinstance(error, CallError)\n"),
    ),
    _edits(
        "a look that Google refuses is dropped",
        (
            "backstop.dispatch:_put_back",
            "    said = Failure(error.code, error.message)\n",
            "    said = Failure(error.code, error.message)\n    if isinstance(message, Poll): return Report()\n",
        ),
    ),
    _edits(
        "every error of an operation counts as cancelled, as the samples have it",
        ("backstop.lifecycle:state_of", 'operation.error.code == "CANCELLED"', "True"),
    ),
    _edits(
        "a backup that can't be looked at counts as gone",
        ("backstop.execute:At.find_backup", 'error.code != "NOT_FOUND"', "False"),
    ),
    _edits(
        "a blocked delete is not tried again",
        (
            "backstop.deletion:_blocked",
            "at.schedule(following(at, replace(look, blocked=True, missing=None), operation), wait)",
            "pass",
        ),
    ),
    _edits("a blocked delete counts as done", ("backstop.deletion:try_to_delete", "return error", "return None")),
    _swap("a cancel is told and never sent", f"{SPANNER}.cancel_operation", _answers(value=None)),
    _edits(
        "the next of many starts is put back under a name of its own",
        (
            "backstop.dispatch:_put_back",
            "later = replace(message, failures",
            "later = replace(message, step=message.step + 1, failures",
        ),
        ("backstop.dispatch:_put_back", '"" if isinstance(later, Poll) else _period(at, wait)', '""'),
    ),
    _swap("a start that comes too late is carried out", "backstop.start:_too_late", _answers(value="")),
    _edits(
        "a sweep stops what is not old enough",
        (
            "backstop.sweep:_is_due",
            "command.cancel_after is None or published - operation.start_time < command.cancel_after",
            "command.cancel_after is None",
        ),
    ),
    _edits(
        "a command that was begun is rejected when a role is missing",
        ("backstop.dispatch:_may_have_begun", "return attempt != 1 or not is_first", "return False"),
    ),
    _edits(
        "an operation that is named is too young for the command by another's clock",
        (
            "backstop.handlers:_cancel_operation",
            "if operation.end_time is not None and operation.end_time < at.trigger.publish_time - GRACE",
            "if operation.start_time > at.trigger.publish_time",
        ),
    ),
    _swap(
        "a command means what runs when it arrives, and not when it was published",
        "backstop.selection:ran",
        lambda _: lambda operation, _: not operation.done,
    ),
    _edits(
        "a clock that is behind makes every look due at once",
        ("backstop.dispatch:deliver", "now = max(now, delivery.publish_time)", "pass"),
    ),
    _edits(
        "what hangs is looked at as if it were about to end",
        (
            "backstop.polling:wait_running",
            "max(guess.spread, math.log(max(elapsed_s, 1.0) / length_s) / SURPRISE_MAX)",
            "guess.spread",
        ),
    ),
    _edits(
        "giving up is counted from the operation's start alone",
        ("backstop.chain:give_up_at", "max(operation.start_time, at.trigger.publish_time)", "operation.start_time"),
    ),
    _edits(
        "an outcome's id differs with each telling",
        ("backstop.events:Result.event_id", "{self.outcome}", "{self.outcome}{self.steps}"),
    ),
    _swap(
        "a message that is no command is refused for ever",
        "backstop.dispatch:_not_understood",
        lambda _: lambda *_: Report(retry=True),
    ),
    _edits(
        "a start of many forgets those that are left",
        (
            "backstop.start:fan_out_step",
            "at.schedule(replace(later, started=(*fan_out.started, database_id)), timedelta(0))",
            "pass",
        ),
    ),
    _edits(
        "a message that can't be handled is refused until it is a dead letter",
        ("backstop.dispatch:_after_error", "(attempt is None or attempt < RETRY_FROM_ATTEMPT)", "True"),
    ),
    _edits(
        "a look's name differs with the time at which it is made",
        ("backstop.execute:At.schedule", "identity(follow_up, again)", "identity(follow_up, again + str(self.now))"),
    ),
    _edits(
        "a derived name has the time of the delivery in it",
        (
            "backstop.start:backup_name",
            "selection.derived_backup_id(database, at.trigger)",
            "selection.derived_backup_id(database, replace(at.trigger, publish_time=at.now))",
        ),
    ),
    _edits(
        "one operation that runs counts as several",
        ("backstop.handlers:_meant", "len(meant) == 1 and (", "False and ("),
    ),
    _edits("a follow means the operation that was started first", ("backstop.selection:newest", "max(", "min(")),
    _edits(
        "a sweep overlooks what was left behind",
        (
            "backstop.sweep:_is_due",
            "return cancelled is not None and operation.end_time is not None and cancelled <= operation.end_time",
            "return False",
        ),
    ),
    _edits(
        "a look that is refused is made over and over in one delivery",
        ("backstop.handlers:_get", "        raise", _AGAIN),
    ),
)

ONLY_IN_CASES = (
    _swap("what a start of many carries has no bound", "backstop.start:_reason_bytes", _answers(value=10_000)),
)
"""Those that take a history which is too large for the random ones."""
