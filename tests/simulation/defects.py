"""Defects that are planted into the function by the tests, each to be found: the proof that the proof can fail."""

from __future__ import annotations

from tests.simulation.planting import Defect


def _of(title: str, *edits: tuple[str, str, str]) -> Defect:
    return Defect(title, edits)


_MISMATCH = "operation.response is not None and found.create_time != operation.response.create_time"

_BLOCKED = """if error.code != "FAILED_PRECONDITION":
                raise
            blocked = _blocked(at, look, operation, verdict.found, error)
            return replace(report, results=blocked.results, next_look=blocked.next_look)
"""

_AGAIN = """        for _ in range(20):
            try:
                return at.ports.spanner.get_operation(name)
            except RefusedError:
                pass
        raise"""

DEFECTS = (
    _of(
        "whatever has the name now is deleted",
        ("backstop.deletion:judge", _MISMATCH, "False"),
        (
            "backstop.lifecycle:reason_to_keep",
            "(found.name, found.create_time) != (made.name, made.create_time)",
            "False",
        ),
    ),
    _of(
        "a backup is deleted before anybody looks at it",
        (
            "backstop.deletion:judge",
            "found = at.ports.spanner.get_backup(operation.backup)",
            "at.ports.spanner.delete_backup(operation.backup); found = at.ports.spanner.get_backup(operation.backup)",
        ),
    ),
    _of(
        "a chain's names leave the command's message id out",
        ("backstop.follow_ups:identity", "{follow_up.trigger.message_id}\\n", ""),
    ),
    _of(
        "a look is put back under its old step",
        ("backstop.deliver:_put_back", "step=message.step + 1, failures", "step=message.step, failures"),
    ),
    _of("a delivery that must be retried is answered 2xx", ("backstop.deliver:_refuse", "retry=True", "retry=False")),
    _of(
        "a follow-up that can't be scheduled is forgotten",
        (
            "backstop.context:schedule",
            "    at.ports.queue.schedule(",
            "    import contextlib\n    with contextlib.suppress(Exception): at.ports.queue.schedule(",
        ),
    ),
    _of(
        "the list's filter is believed, which says contains and not equals",
        (
            "tests.support.ports:SpannerPort.list_operations",
            "database in {None, record.database}",
            "(database or '') in record.database",
        ),
    ),
    _of(
        "the grace is added where it should be taken off",
        ("backstop.handlers:cancel", "cancel_at=published - GRACE", "cancel_at=published + GRACE"),
    ),
    _of(
        "giving up forgets to report",
        ("backstop.looks:_look_again", "tell(at, *told, ending)", "tell(at, *told)"),
    ),
    _of("a chain is never given up", ("backstop.looks:_look_again", "at.now >= look.give_up_at", "False")),
    _of(
        "a schedule's backup is deleted like any other",
        ("backstop.lifecycle:reason_to_keep", "schedules and not include_scheduled", "False"),
        ("backstop.handlers:is_scheduled", "    if operation.done:", "    return False\n    if operation.done:"),
    ),
    _of(
        "a schedule's backup is stopped like any other",
        ("backstop.handlers:is_scheduled", "    if operation.done:", "    return False\n    if operation.done:"),
    ),
    _of(
        "a backup that took over the name says who made the one before it",
        (
            "backstop.handlers:is_scheduled",
            "    if not found.schedules:\n        return False",
            "    return bool(found.schedules)",
        ),
    ),
    _of(
        "a cancel that includes schedules still prefers what was made on demand",
        ("backstop.find:lately_ended", "include_scheduled or not is_scheduled", "not is_scheduled"),
    ),
    _of("a dry run of a cancel cancels", ("backstop.handlers:_act_or_say", "not command.dry_run", "True")),
    _of("a dry run of a start starts", ("backstop.starts:start", "command.dry_run", "False")),
    _of(
        "a start doesn't look for what it has started before",
        ("backstop.find:own_attempt", "    attempts = [", "    return None\n    attempts = ["),
    ),
    _of(
        "a start takes an older backup of the name for its own",
        (
            "backstop.find:own_attempt",
            "(derived or operation.start_time >= trigger.publish_time - CLOCK_MARGIN)",
            "True",
        ),
    ),
    _of(
        "a start takes another database's backup for its own",
        ("backstop.find:own_attempt", "and operation.database == database", ""),
        (
            "tests.support.ports:SpannerPort.list_operations",
            "database in {None, record.database}",
            "(database or '') in record.database",
        ),
    ),
    _of(
        "a start takes the latest backup of the name for its own, and not the first",
        ("backstop.find:own_attempt", "return min(", "return max("),
    ),
    _of(
        "a cancel means what was started after it",
        ("backstop.find:ran", "operation.start_time <= published and ", ""),
    ),
    _of(
        "a cancel means what ended long ago, and deletes it",
        ("backstop.find:lately_ended", "operation.end_time >= published - GRACE", "True"),
        ("backstop.lifecycle:reason_to_keep", "unwanted_from is None or operation.end_time < unwanted_from", "False"),
    ),
    _of(
        "a limit is held against the time of the look, and not of the end",
        ("backstop.lifecycle:intent_now", "operation.end_time if operation.done else now", "now"),
        ("backstop.lifecycle:reason_to_keep", "unwanted_from is None or operation.end_time < unwanted_from", "False"),
    ),
    _of(
        "a follow-up is believed wherever it comes from",
        ("backstop.deliver:_understood", "delivery.topic != settings.follow_ups_topic", "False"),
    ),
    _of(
        "backups are deleted where that is switched off",
        ("backstop.deletion:_reason_to_keep", "not at.settings.allow_delete", "False"),
    ),
    _of(
        "too many calls mean never, and not later",
        (
            "backstop.deliver:_after_error",
            "isinstance(error, RefusedError)\n",
            "isinstance(error, CallError)\n",
        ),
    ),
    _of(
        "a look that Google refuses is dropped",
        (
            "backstop.deliver:_put_back",
            "    said = ErrorText(error.code, error.message)\n",
            "    said = ErrorText(error.code, error.message)\n    if isinstance(message, Look): return Report()\n",
        ),
    ),
    _of(
        "every error of an operation counts as cancelled, as the samples have it",
        ("backstop.lifecycle:state_of", 'operation.error.code == "CANCELLED"', "True"),
    ),
    _of(
        "a backup that can't be looked at counts as gone",
        (
            "backstop.deletion:judge",
            'error.code != "NOT_FOUND"',
            "False",
        ),
    ),
    _of(
        "a blocked delete is not tried again",
        (
            "backstop.deletion:_blocked",
            "schedule_look(at, msgspec.structs.replace(look, blocked=True), operation, wait)",
            "wait",
        ),
    ),
    _of(
        "a blocked delete counts as done",
        (
            "backstop.deletion:delete_if_earned",
            _BLOCKED,
            "pass\n",
        ),
    ),
    _of(
        "a cancel is told and never sent",
        ("backstop.looks:act", "at.ports.spanner.cancel_operation(operation.name)", "pass"),
    ),
    _of(
        "the next of many starts is scheduled before this one is followed",
        (
            "backstop.starts:fan_out_step",
            "    report, started = follow_new(",
            "    schedule(at, following, timedelta(0))\n    report, started = follow_new(",
        ),
        (
            "backstop.deliver:_put_back",
            "later = replace(message, failures",
            "later = replace(message, step=message.step + 1, failures",
        ),
        ("backstop.deliver:_put_back", '"" if isinstance(later, Look) else _period(at, wait)', '""'),
    ),
    _of(
        "a start that comes too late is carried out",
        ("backstop.starts:attempt", "command.start_within is not None and", "False and"),
    ),
    _of(
        "a sweep deletes whatever has the name now",
        ("backstop.sweep:_clean_up", "found.create_time != operation.response.create_time", "False"),
        (
            "backstop.lifecycle:reason_to_keep",
            "(found.name, found.create_time) != (made.name, made.create_time)",
            "False",
        ),
    ),
    _of(
        "a sweep stops what is not old enough",
        (
            "backstop.sweep:_is_due",
            "command.cancel_after is None or published - operation.start_time < command.cancel_after",
            "command.cancel_after is None",
        ),
    ),
    _of(
        "a command that was begun is rejected when a role is missing",
        ("backstop.deliver:_may_have_begun", "return attempt != 1 or not is_first", "return False"),
    ),
    _of(
        "an operation that is named is too young for the command by another's clock",
        (
            "backstop.handlers:cancel",
            "find.running([operation], max(published, operation.start_time))",
            "find.running([operation], published)",
        ),
        (
            "backstop.handlers:cancel",
            "find.lately_ended([operation], max(published, operation.start_time))",
            "find.lately_ended([operation], published)",
        ),
    ),
    _of(
        "a command means what runs when it arrives, and not when it was published",
        ("backstop.find:newest", "ran(operation, published)", "not operation.done"),
    ),
    _of(
        "a backup whose name was used again is said to be kept",
        ("backstop.deletion:judge", _MISMATCH, "False"),
    ),
    _of(
        "a clock that is behind makes every look due at once",
        ("backstop.deliver:deliver", "now = max(now, delivery.publish_time)", "pass"),
    ),
    _of(
        "what hangs is looked at as if it were about to end",
        (
            "backstop.pacing:wait_running",
            "max(guess.spread, math.log(max(elapsed_s, 1.0) / length_s) / SURPRISE_MAX)",
            "guess.spread",
        ),
    ),
    _of(
        "giving up is counted from the operation's start alone",
        ("backstop.chain:give_up_at", "max(operation.start_time, at.trigger.publish_time)", "operation.start_time"),
    ),
    _of(
        "an outcome's id differs with each telling",
        ("backstop.results:Result.event_id", "{self.outcome}", "{self.outcome}{self.steps}"),
    ),
    _of(
        "a message that is no command is refused for ever",
        (
            "backstop.deliver:_not_understood",
            "return Report(results=tell(at, result))",
            "return _refuse(TransientError('', ''))",
        ),
    ),
    _of(
        "if_created: keep is overlooked",
        ("backstop.deletion:_reason_to_keep", "look.if_created is IfCreated.KEEP", "False"),
    ),
    _of(
        "a start of many forgets those that are left",
        (
            "backstop.starts:fan_out_step",
            "schedule(at, replace(following, started=(*fan_out.started, database_id)), timedelta(0))",
            "pass",
        ),
    ),
    _of(
        "a message that can't be handled is refused until it is a dead letter",
        ("backstop.deliver:_after_error", "(attempt is None or attempt < PUT_BACK_FROM_ATTEMPT)", "True"),
    ),
    _of(
        "a look's name differs with the time at which it is made",
        ("backstop.context:schedule", "identity(follow_up, again)", "identity(follow_up, again + str(at.now))"),
    ),
    _of(
        "a derived name has the time of the delivery in it",
        (
            "backstop.starts:backup_name",
            "find.derived_backup_id(database, at.trigger)",
            "find.derived_backup_id(database, replace(at.trigger, publish_time=at.now))",
        ),
    ),
    _of(
        "one operation that runs counts as several",
        ("backstop.handlers:cancel", "len(candidates) > 1", "candidates"),
    ),
    _of(
        "a follow means the operation that was started first",
        ("backstop.find:newest", "max(", "min("),
    ),
    _of(
        "a sweep overlooks what was left behind",
        (
            "backstop.sweep:_is_due",
            "return cancelled is not None and operation.end_time is not None and cancelled <= operation.end_time",
            "return False",
        ),
    ),
    _of(
        "a look that is refused is made over and over in one delivery",
        (
            "backstop.handlers:_get",
            "        raise",
            _AGAIN,
        ),
    ),
)
