"""What is going on, and what is known of one backup: `status` and `describe`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from backstop.handlers import SWEPT_MAX
from backstop_cli import history, output
from backstop_cli.acting import attempts
from backstop_cli.errors import CliError
from backstop_cli.followups import FollowUp
from backstop_cli.naming import Target, instance_of, short
from backstop_cli.session import Session, common, complete
from backstop_cli.spanner import Backup, Operation, strays

FRESH = timedelta(minutes=5)
"""A backup that began so lately may have a start whose follow-up is only now being made."""


@click.command()
@click.argument("instance_id", metavar="[INSTANCE]", required=False)
@common
def status(session: Session, instance_id: str | None) -> None:
    """Show what runs, who follows it, and what lies around that nobody follows."""
    instance = session.settings.instance_named(instance_id) if instance_id else session.settings.instance
    now = datetime.now(UTC)
    waiting, trouble = session.follow_ups()  # First: a task of what began since would seem to be of what has ended.
    operations = session.spanner.operations(instance)
    backups = session.spanner.suspects(instance, operations)
    document = state_of_things(instance, operations, backups, waiting, now)
    document["copies"] = [asdict(one) for one in session.spanner.copies(instance)]
    if trouble:
        output.err().print(f"Who follows what is unknown: {trouble}")
    if session.form != "table":
        output.emit(document, session.form)
    else:
        _print_status(session, document, now)


def state_of_things(
    instance: str,
    operations: Sequence[Operation],
    backups: Iterable[Backup],
    waiting: Sequence[FollowUp] | None,
    now: datetime,
) -> dict[str, Any]:
    """What `status` shows, as a document.

    Args:
        instance: Whose.
        operations: Its operations of the last 7 days.
        backups: Its backups.
        waiting: The follow-ups; None where they can't be read.
        now: The time.
    """
    running = []
    for one in (operation for operation in operations if not operation.done):
        mine = [follow_up for follow_up in waiting or () if follow_up.operation == one.name]
        fresh = one.started is not None and now - one.started < FRESH
        running.append({**_operation_document(one), **follower_document(mine), "fresh": fresh})
    names = {one["operation"] for one in running}
    others = [one for one in waiting or () if one.operation not in names and instance_of(one.about) == instance]
    return {
        "instance": instance,
        "running": running,
        "unfollowed": None if waiting is None else [one["backup"] for one in running if not one["followers"]],
        "waiting": [
            {name: getattr(one, name) for name in ("kind", "action", "about", "due", "gives_up", "blocked", *_CLAIMS)}
            for one in others
        ],
        "strays": strays(operations, backups),
    }


_CLAIMS = ("message_id", "requested_by", "reason")


def _operation_document(one: Operation) -> dict[str, Any]:
    return {
        "backup": one.backup,
        "database": one.database,
        "operation": one.name,
        "state": one.state,
        "percent": one.percent,
        "started": one.started,
        "cancel_requested": one.cancelled,
    }


def follower_document(mine: Sequence[FollowUp]) -> dict[str, Any]:
    """Who follows one operation: the earliest look, and the command that has most to say, a cancel before a start."""
    first = min((one.due for one in mine if one.due), default=None)
    speaker = max(mine, key=lambda one: one.intent == "CANCEL", default=None)
    return {
        "followers": len(mine),
        "next_look": first,
        "stops": min((one.stops for one in mine if one.stops), default=None),
        "gives_up": max((one.gives_up for one in mine if one.gives_up), default=None),
        "intent": speaker.intent if speaker else None,
        "action": speaker.action if speaker else None,
        "requested_by": speaker.requested_by if speaker else None,
        "reason": speaker.reason if speaker else None,
        "message_id": speaker.message_id if speaker else None,
    }


def _print_status(session: Session, document: dict[str, Any], now: datetime) -> None:
    console = output.out()
    nobody = "?" if document["unfollowed"] is None else "no task waits"
    rows = [_running_row(session, one, nobody, now) for one in document["running"]]
    if rows:
        console.print(output.table(("BACKUP", ">DONE", "SINCE", "NEXT LOOK", "GIVES UP", "ON BEHALF OF"), rows))
    elif not document["copies"]:
        console.print(f"Nothing runs in {short(document['instance'])}.")
    for one in document["copies"]:
        about = f"{session.spelled(one['backup'])}, a copy of {session.spelled(one['source'])}"
        since = output.ago(one["started"], now)
        console.print(f"{about}, is at {one['percent']}%, begun {since}. Backstop leaves it alone.")
    if document["unfollowed"]:
        alone = [one for one in document["running"] if not one["followers"] and not one["fresh"]]
        made = session.spanner.named(document["instance"], [one["backup"] for one in alone])
        scheduled = {one.name for one in made if one.schedules}
        for one in (one for one in alone if one["backup"] in scheduled):
            console.print(f"{session.spelled(one['backup'])} is made by a backup schedule: nobody has to follow it.")
        _print_unfollowed(session, [one for one in alone if one["backup"] not in scheduled])
    for one in document["waiting"]:
        console.print(_waits(session, one, now))
    for one in document["strays"]:
        since, frees = output.ago(one["completed"], now), output.size(one["freeable_bytes"])
        name = session.spelled(one["backup"])
        console.print(f"{name} is there although it was cancelled: complete {since}, frees {frees}.")
    for line in how_to_delete(session, document["instance"], [one["scheduled"] for one in document["strays"]]):
        console.print(line)


def _running_row(session: Session, one: dict[str, Any], nobody: str, now: datetime) -> tuple[str, ...]:
    stopping = " stopping" if one["state"] == "CANCELLING" else ""
    said = output.behalf(one["action"], one["requested_by"], one["reason"]) or "somebody"
    times = [output.ago(one[name], now) for name in ("started", "next_look", "gives_up")]
    if one["stops"] and not stopping:
        times[-1] = f"stops {output.ago(one['stops'], now) if one['stops'] > now else 'now'}"
    name, behalf = session.named(one["backup"]), said if one["followers"] else nobody
    return name, f"{one['percent']}%{stopping}", *times, behalf


def _waits(session: Session, one: dict[str, Any], now: datetime) -> str:
    """What a follow-up waits for that is about nothing that runs."""
    if one["kind"] != "poll":
        what = "A start of many" if one["kind"] == "fan-out" else f"A {one['action']} that could not be carried out yet"
        return f"{what} waits, and goes on {output.ago(one['due'], now)}: {session.spelled(one['about'])}"
    name = session.spelled(one["about"].partition("/operations/")[0])
    behalf = output.behalf(one["action"], one["requested_by"], one["reason"]) or "somebody"
    due, gives_up = (output.ago(one[key], now) for key in ("due", "gives_up"))
    what = "is to be deleted, but a restore or a copy needs it" if one["blocked"] else "doesn't run any more"
    return f"{name} {what}: next look {due}, gives up {gives_up}, for {behalf}."


def how_to_delete(session: Session, instance: str, scheduled: Sequence[bool]) -> list[str]:
    """What to type to be rid of strays, of which a schedule may have made some."""
    sweep = ("sweep", session.spelled(instance), "--delete")
    lines, each = [], f", at most {SWEPT_MAX} with each sweep" if len(scheduled) > SWEPT_MAX else ""
    if not all(scheduled):
        lines.append(f"To delete what was cancelled and is there{each}: {session.advice(*sweep)}")
    if any(scheduled):
        what = f"To delete what schedules made, too, if the deployment allows it{each}"
        lines.append(f"{what}: {session.advice(*sweep, '--include-scheduled')}")
    return lines


def _print_unfollowed(session: Session, unfollowed: Sequence[dict[str, Any]]) -> None:
    """What to type for each: a follow wants the backup, and so would keep one that is being cancelled."""
    console, limits = output.out(), False
    for one in unfollowed:
        name, cancelling = session.spelled(one["backup"]), one["state"] == "CANCELLING"
        limits = limits or not cancelling
        what = f"{name}, which is being cancelled" if cancelling else name
        advice = session.advice("cancel" if cancelling else "follow", name)
        console.print(f"No task waits for {what}: {advice}")
    if unfollowed:
        console.print("Unless a message waits in Pub/Sub, nobody follows what no task waits for.")
    if limits:
        console.print("If its start had a limit, add --cancel-after: nobody knows it now.")


@click.command()
@click.argument("target", metavar="BACKUP|OPERATION", shell_complete=complete("backup"))
@click.option(
    "--log", metavar="FILE", help="Also tell its outcomes, from a file of log lines, or `cloud`. [env: BACKSTOP_LOG]"
)
@common
def describe(session: Session, target: str, log: str | None) -> None:
    """Show everything that is known of one backup."""
    found = session.resolve(target, "backup", "operation")
    name = found.name.partition("/operations/")[0]
    operations = attempts(session, Target("backup", name) if found.kind == "backup" else found)
    backup = session.spanner.backup(name)
    if not operations and backup is None:
        raise CliError(
            f"Spanner knows no {found.kind} {found.name!r}.", "It forgets operations 7 days after their end."
        )
    now = datetime.now(UTC)
    waiting, trouble = session.follow_ups()
    source = log or session.settings["log"]
    told = None
    if source:
        entries, _ = history.of_backup(name, "" if source == "cloud" else source, session.settings.project, 7)
        told = [one.document() for one in entries if one.fields.get("outcome")]
    document = {
        "backup": name,
        "state": backup.state if backup else None,
        "database": backup.database if backup else operations[0].database,
        "created": backup.created if backup else None,
        "version_time": backup.version_time if backup else None,
        "expires": backup.expires if backup else None,
        "size_bytes": backup.size_bytes if backup else None,
        "billable_bytes": backup.exclusive_bytes if backup else None,
        "freeable_bytes": backup.freeable_bytes if backup else None,
        "encryption": backup.encryption if backup else None,
        "schedules": list(backup.schedules) if backup else [],
        "used_by": list(backup.used_by) if backup else [],
        "operations": [_attempt(one, waiting) for one in operations],
        "outcomes": told,
    }
    if trouble:
        output.err().print(f"Who follows it is unknown: {trouble}")
    if session.form != "table":
        output.emit(document, session.form)
    else:
        _print_description(session, document, waiting is not None, now)


def _attempt(one: Operation, waiting: Sequence[FollowUp] | None) -> dict[str, Any]:
    mine = [follow_up for follow_up in waiting or () if follow_up.operation == one.name]
    ended = {"ended": one.ended, "error": one.error or None}
    return {**_operation_document(one), **ended, **follower_document(mine)}


def _print_description(
    session: Session,
    document: dict[str, Any],
    queue_is_known: bool,  # noqa: FBT001 private
    now: datetime,
) -> None:
    there = document["state"] is not None
    rows = [("Backup", short(document["backup"])), ("Instance", instance_of(document["backup"]))]
    rows += [
        ("Database", session.named(document["database"])),
        ("State", document["state"] or "there is no such backup"),
    ]
    if there:
        rows += [(word, output.moment(document[word.lower()], now)) for word in ("Created", "Expires")]
        rows.append(("Holds data of", output.moment(document["version_time"], now)))
        rows += [(what, output.size(document[key])) for what, key in _SIZES]
        rows.append(("Encryption", document["encryption"] or "-"))
        rows.append(("Made by", ", ".join(map(short, document["schedules"])) or "no native schedule"))
        rows.append(("Needed by", ", ".join(map(session.named, document["used_by"])) or "nothing"))
    for one in document["operations"]:
        rows += _attempt_rows(one, queue_is_known, now)
    console = output.out()
    console.print(output.table(("", ""), rows))
    if document["outcomes"] is None:
        why = session.advice("why", session.spelled(document["backup"]))
        console.print(f"For its outcomes: {why}")
    for one in document["outcomes"] or ():
        console.print(one["time"][:19] or "-", output.outcome(one["outcome"]), one["message"])


_SIZES = (("Size", "size_bytes"), ("Billed for", "billable_bytes"), ("Deleting frees", "freeable_bytes"))


def _attempt_rows(one: dict[str, Any], queue_is_known: bool, now: datetime) -> list[tuple[str, str]]:  # noqa: FBT001 private
    rows = [("Operation", short(one["operation"])), ("  state", f"{one['state']}, {one['percent']}%")]
    rows.append(("  started", output.moment(one["started"], now)))
    if one["cancel_requested"]:
        rows.append(("  cancelled", output.moment(one["cancel_requested"], now)))
    if one["ended"]:
        rows.append(("  ended", output.moment(one["ended"], now)))
    if one["error"]:
        rows.append(("  error", one["error"]))
    if one["followers"]:
        said = output.behalf(one["action"], one["requested_by"], one["reason"]) or "somebody"
        rows += [("  followed for", said), ("  next look", output.moment(one["next_look"], now))]
        if one["stops"] and not one["ended"]:
            rows.append(("  stops", output.moment(one["stops"], now)))
        rows.append(("  gives up", output.moment(one["gives_up"], now)))
    elif queue_is_known and not one["ended"]:
        rows.append(("  followed for", "no task waits"))
    return rows
