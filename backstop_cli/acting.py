"""The commands that ask for something: start, cancel, follow and sweep."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import click

from backstop.durations import Duration
from backstop.handlers import DUE_WITHIN, SWEPT_MAX
from backstop_cli import output
from backstop_cli.errors import CliError, Exit
from backstop_cli.naming import Target, instance_of, short
from backstop_cli.publishing import Request, Waiting, run, waitable
from backstop_cli.session import DURATION, Session, common, complete
from backstop_cli.spanner import Operation, strays

CLOCK_MARGIN = timedelta(seconds=10)
"""Between Google's clock and this machine's."""

GRACE = timedelta(minutes=10)
"""So long after its end a backup is still deleted by a cancel that names it."""

_KINDS = ("database", "backup", "operation")
_KEEP = "Keep the backup if it completes before it can be stopped."
_SCHEDULED = "Also what native backup schedules made; the deployment must allow it."
_YES = "Don't look and ask first."
_DRY_RUN = "Ask Backstop what it would do, which it tells as an outcome."


def _target_argument(*kinds: str) -> Callable[..., Any]:
    return click.argument("target", metavar="|".join(kinds).upper(), shell_complete=complete(*kinds))


@click.command()
@click.argument("database", required=False, shell_complete=complete("database"))
@click.option("--databases", multiple=True, metavar="PATTERN", help="Of the instance's databases, such as 'orders*'.")
@click.option("--backup-id", metavar="ID", help="The backup's id. [default: derived from the message]")
@click.option("--retention", type=DURATION, help="How long the backup is kept.")
@click.option("--version-time", metavar="TIME", help="The moment whose data is backed up.")
@click.option("--kms-key", "keys", multiple=True, metavar="NAME", help="Encrypt with this key; once for each region.")
@click.option("--cancel-after", type=DURATION, help="Stop it if it still runs this long after its start.")
@click.option("--start-within", type=DURATION, help="Refuse to start later than this after publishing.")
@click.option("--keep", is_flag=True, help=_KEEP)
@click.option("--dry-run", is_flag=True, help=_DRY_RUN)
@common
@waitable
def start(
    session: Session,
    database: str | None,
    databases: tuple[str, ...],
    keys: tuple[str, ...],
    *,
    waiting: Waiting,
    **more: Any,
) -> int:
    """Start a backup of DATABASE, or, with --instance or --databases, one of each database of the instance."""
    fields: dict[str, Any] = {"action": "start", **_asked(more)}
    if keys:
        fields["encryption"] = {"type": "CUSTOMER_MANAGED_ENCRYPTION", "kms_key_names": list(keys)}
    if database is not None:
        if databases:
            raise CliError(f"--databases goes without a DATABASE; found both {database!r} and {databases[0]!r}.")
        target = session.resolve(database, "database")
        find = partial(_begun, session, target.name, more["backup_id"])
        return run(session, Request({**fields, "database": target.name}, "start", target.id, find), waiting)
    if not databases and "instance" not in session.flags:
        hint = "Type its name, or --instance I for all of an instance's, or --databases 'orders*' for some of them."
        raise CliError("Start a backup of which database?", hint)
    instance = session.settings.instance
    fields |= {"instance": instance, "databases": list(databases) or None}
    return run(session, Request(fields, "start", f"{', '.join(databases) or 'all'} of {short(instance)}"), waiting)


@click.command()
@_target_argument(*_KINDS)
@click.option("--keep", is_flag=True, help=_KEEP)
@click.option("--include-scheduled", is_flag=True, help=_SCHEDULED)
@click.option("--yes", "-y", is_flag=True, help=_YES)
@click.option("--dry-run", is_flag=True, help=_DRY_RUN)
@common
@waitable
def cancel(session: Session, target: str, *, yes: bool, waiting: Waiting, **more: Any) -> int:
    """Stop a backup, and delete it if it completes all the same.

    Shows first what runs, and asks.
    """
    named = found = session.resolve(target, *_KINDS)
    keep = bool(more["keep"])
    if not (yes or more["dry_run"]):
        _can_ask("cancel")
        question, meant = _shown(session, named, keep=keep, scheduled=bool(more["include_scheduled"]))
        if not question:
            return Exit.NOTHING
        if not click.confirm(question, err=True):
            return Exit.USAGE
        if len(meant) == 1:  # Another one may run by now, and nobody has said yes to that.
            found = Target("operation", meant[0].name)
            ended = not (keep or meant[0].done) and any(one.state == "SUCCEEDED" for one in attempts(session, found))
            if ended and not click.confirm("It was complete before you answered. Delete it?", err=True):
                return Exit.USAGE
    fields = {"action": "cancel", found.kind: found.name, **_asked(more)}
    find = partial(_ran, session, found, bool(more["include_scheduled"]))
    request = Request(fields, "cancel --keep" if keep else "cancel", named.id, find)
    return run(session, request, waiting)


@click.command()
@_target_argument(*_KINDS)
@click.option("--cancel-after", type=DURATION, help="Stop it if it still runs this long after its start.")
@click.option("--keep", is_flag=True, help=_KEEP)
@click.option("--include-scheduled", is_flag=True, help=_SCHEDULED)
@click.option("--dry-run", is_flag=True, help=_DRY_RUN)
@common
@waitable
def follow(session: Session, target: str, *, waiting: Waiting, **more: Any) -> int:
    """Have the end of a backup reported that somebody else started."""
    found = session.resolve(target, *_KINDS)
    fields = {"action": "follow", found.kind: found.name, **_asked(more)}
    return run(session, Request(fields, "follow", found.id, partial(newest, session, found)), waiting)


@click.command()
@click.argument("instance_id", metavar="[INSTANCE]", required=False)
@click.option("--cancel-after", type=DURATION, help="Stop what has run longer than this.")
@click.option("--delete", is_flag=True, help="Delete what completed although it was cancelled. [default: keep]")
@click.option("--include-scheduled", is_flag=True, help=_SCHEDULED)
@click.option("--yes", "-y", is_flag=True, help=_YES)
@click.option("--dry-run", is_flag=True, help=_DRY_RUN)
@common
@waitable
def sweep(session: Session, instance_id: str | None, *, delete: bool, yes: bool, waiting: Waiting, **more: Any) -> int:
    """Look after everything in an instance that slipped through.

    If it is to stop or to delete, shows first what, and asks.
    """
    instance = session.settings.instance_named(instance_id) if instance_id else session.settings.instance
    limit, scheduled = more["cancel_after"], bool(more["include_scheduled"])
    if (delete or limit) and not (yes or more["dry_run"]):
        _can_ask("sweep")
        if not _swept(session, instance, delete=delete, limit=limit, scheduled=scheduled):
            return Exit.AS_WISHED
        if not click.confirm(f"Sweep {short(instance)}?", err=True):
            return Exit.USAGE
    fields = {"action": "sweep", "instance": instance, "if_created": "delete" if delete else None, **_asked(more)}
    typed = {"--delete": delete, "--include-scheduled": scheduled, "--dry-run": more["dry_run"]}
    flags = [flag for flag, given in typed.items() if given] + (["--cancel-after", limit] if limit else [])
    again = session.advice("sweep", session.spelled(instance), *flags)
    due = partial(_operations_due, session, instance, limit=limit, scheduled=scheduled)
    return run(session, Request(fields, "sweep", short(instance), due=due, again=again), waiting)


def _asked(options: dict[str, Any]) -> dict[str, Any]:
    """The options as a command's fields."""
    fields = {name: value for name, value in options.items() if name != "keep"}
    return {**fields, "if_created": "keep"} if options.get("keep") else fields


def attempts(session: Session, target: Target) -> list[Operation]:
    """The operations that a target means, newest first."""
    if target.kind == "operation":
        found = session.spanner.operation(target.name)
        return [found] if found else []
    operations = session.spanner.operations(target.instance)
    return [one for one in operations if target.name in (one.database, one.backup)]


def _begun(
    session: Session, database: str, backup_id: str | None, published: datetime, message_id: str
) -> list[Operation]:
    """What a start began, which tells it apart by the backup's id: that of a message ends with a digest of it."""
    topic = session.settings.commands_topic
    digits = hashlib.sha256(f"{topic}\n{message_id}".encode()).hexdigest()[:8]
    mine = [one for one in session.spanner.operations(instance_of(database)) if one.database == database]
    mine = [one for one in mine if one.started and one.started >= published - CLOCK_MARGIN]
    named = [one for one in mine if short(one.backup) == backup_id or not backup_id]
    return [one for one in named if backup_id or one.backup.endswith(f"-{digits}")][:1]


def _ran(
    session: Session,
    target: Target,
    scheduled: bool,  # noqa: FBT001 private
    published: datetime,
    _: str,
) -> list[Operation]:
    """What a cancel means: what ran when it was published, or else what ended so little before that it still does."""
    known = _known_at(session, target, published)
    ran = [one for one in known if not one.done or (one.ended and one.ended > published)]
    if target.kind != "operation" and not scheduled:
        ran = [one for one in ran if not _is_scheduled(session, one)]
    if target.kind == "database":
        since = published - CLOCK_MARGIN
        before = [one for one in known if one.cancelled and one.ended and since <= one.cancelled <= one.ended]
    else:
        before = [one for one in known if one.ended and one.ended >= published - GRACE]
    return ran or before[:1]


def newest(session: Session, target: Target, published: datetime, _: str) -> list[Operation]:
    """What a follow means: the newest that ran, or the last begun; of a database, of late, if nobody stopped it."""
    known = _known_at(session, target, published)
    ran, since = [one for one in known if not one.ended or one.ended > published], published - DUE_WITHIN
    if target.kind == "database":
        known = [one for one in known if one.started and one.started >= since and one.state != "CANCELLED"]
    return ran[:1] or known[:1]


def _known_at(session: Session, target: Target, published: datetime) -> list[Operation]:
    return [one for one in attempts(session, target) if one.started and one.started <= published + CLOCK_MARGIN]


def _is_scheduled(session: Session, operation: Operation) -> bool:
    backup = session.spanner.backup(operation.backup)
    return backup is not None and bool(backup.schedules)


def _can_ask(command: str) -> None:
    if not sys.stdin.isatty():
        raise CliError(f"{command} asks first, and there is no terminal to answer on.", "Add --yes.")


def _due(
    session: Session, instance: str, published: datetime, *, delete: bool, limit: str | None, scheduled: bool
) -> tuple[list[dict[str, Any]], list[Operation], int]:
    """The strays that a sweep deals with, what it stops, and how many it leaves as schedules made them."""
    operations, old = session.spanner.operations(instance), list[Operation]()
    left = strays(operations, session.spanner.suspects(instance, operations)) if delete else []
    mine = [one for one in left if scheduled or not one["scheduled"]]
    if limit:
        since = published - Duration.parse(limit)
        old = [one for one in operations if one.state == "RUNNING" and one.started and one.started <= since]
    late = [one for one in old if scheduled or not _is_scheduled(session, one)]
    return mine, late, len(left) - len(mine) + len(old) - len(late)


def _operations_due(
    session: Session, instance: str, published: datetime, *, limit: str | None, scheduled: bool
) -> set[str]:
    """The operations that a sweep deals with; one that keeps tells of what is there."""
    mine, late, _ = _due(session, instance, published, delete=True, limit=limit, scheduled=scheduled)
    return {*(str(one["operation"]) for one in mine), *(one.name for one in late)}


def _swept(session: Session, instance: str, *, delete: bool, limit: str | None, scheduled: bool) -> bool:
    """Shows what a sweep would stop or delete, as Spanner says now; False if that is nothing."""
    now = datetime.now(UTC)
    mine, late, held = _due(session, instance, now, delete=delete, limit=limit, scheduled=scheduled)
    shown = [(one["backup"], "complete", one["completed"], "to be deleted") for one in mine]
    shown += [(one.backup, f"{one.percent}%", one.started, "to be stopped") for one in late]
    rows = [(session.named(name), done, output.ago(since, now), what) for name, done, since, what in shown]
    console = output.err()
    if held:
        console.print(f"{held} that schedules made stay without --include-scheduled.")
    if rows:
        console.print(f"In {instance}:")
        console.print(output.table(("BACKUP", ">DONE", "SINCE", ""), rows))
    else:
        console.print(f"In {instance} nothing is to be stopped or deleted. Nothing was published.")
    if len(rows) > SWEPT_MAX:
        console.print(f"At most {SWEPT_MAX} of these {len(rows)} go with one sweep. Sweep again for the rest.")
    return bool(rows)


def _shown(session: Session, target: Target, *, keep: bool, scheduled: bool) -> tuple[str, list[Operation]]:
    """Shows what a cancel would stop or delete, as Spanner says now.

    Returns the question, empty if it is nothing, and the operations that it may stop.
    """
    now = datetime.now(UTC)
    operations = attempts(session, target)
    running = [one for one in operations if not one.done]
    late = [one for one in operations if one.ended and now - one.ended <= GRACE and one.state == "SUCCEEDED"]
    meant = running or (late if target.kind != "database" and not keep else [])
    backups = {one.name: session.spanner.backup(one.backup) for one in meant}
    meant = [one for one in meant if not one.done or ((there := backups[one.name]) and there.created == one.made)]
    console = output.err()
    if not meant:
        last = operations[0] if operations else None
        ended = f"; {session.named(last.backup)} ended {output.ago(last.ended, now)} ({last.state})" if last else ""
        console.print(f"Nothing of {target.id} runs{ended}. Nothing was published.")
        return "", []
    rows, may_stop = [], []
    for one in meant:
        backup = backups[one.name]
        by = f"schedule {short(backup.schedules[0])}" if backup and backup.schedules else "a command, or a person"
        rows.append((session.named(one.backup), one.state, f"{one.percent}%", output.ago(one.started, now), by))
        if scheduled or not (backup and backup.schedules):
            may_stop.append(one)
        else:
            console.print(f"{session.named(one.backup)} was made by a schedule: refused without --include-scheduled.")
    console.print(output.table(("BACKUP", "STATE", ">DONE", "SINCE", "MADE BY"), rows))
    if not running:
        return "It is complete. Delete it?" * bool(may_stop), may_stop
    if not may_stop:
        return "", []
    ends = "stays" if keep else "is deleted"
    console.print(f"If it is complete before it can be stopped, the backup {ends}.")
    return "Stop it?", may_stop
