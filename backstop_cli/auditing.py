"""How each database of an instance is covered: `audit`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from backstop_cli import output
from backstop_cli.looking import how_to_delete
from backstop_cli.session import Session, common
from backstop_cli.spanner import Backup, Operation, strays

LATELY = timedelta(days=7)
"""As far back as Spanner lists operations."""

SOON = timedelta(days=1)
"""A backup that expires within this is named: the next night's may fail."""

DOUBLE_DAYS_MIN = 2
"""On one day a person may have made a backup beside the schedule's; on two it is a habit, and paid for twice."""


@click.command()
@click.argument("instance_id", metavar="[INSTANCE]", required=False)
@common
def audit(session: Session, instance_id: str | None) -> None:
    """Show for each database how well it is covered, and what could go."""
    instance = session.settings.instance_named(instance_id) if instance_id else session.settings.instance
    now = datetime.now(UTC)
    spanner = session.spanner
    databases, operations, backups = (
        spanner.databases(instance),
        spanner.operations(instance),
        spanner.backups(instance),
    )
    left = strays(operations, backups)
    rows = coverage(databases, operations, backups, left, now)
    document = {"instance": instance, "databases": rows, "freeable_bytes": sum(row["freeable_bytes"] for row in rows)}
    if session.form != "table":
        output.emit(document, session.form)
        return
    console = output.out()
    headings = ("DATABASE", "NEWEST", ">RUN", ">FAILED", ">EXPIRING", ">SCHEDULED", ">ASKED", ">STRAYS", ">FREES")
    console.print(output.table(headings, (_row(session, row, now) for row in rows)))
    for row in rows:
        name = _name(session, row)
        if row["newest"] is None and row["here"]:
            console.print(f"{name} has no complete backup.")
        if row["double_cover"]:
            console.print(f"{name} is backed up by a native schedule and by commands, on the same days.")
    for line in how_to_delete(session, instance, [one["scheduled"] for one in left]):
        console.print(line)


def _name(session: Session, row: dict[str, Any]) -> str:
    name = session.named(row["database"])
    return f"{name} (an earlier one)" if row["earlier"] else name


def _row(session: Session, row: dict[str, Any], now: datetime) -> tuple[str, ...]:
    counts = (row[name] for name in ("running", "failed", "expiring", "scheduled", "on_demand", "strays"))
    return (_name(session, row), output.ago(row["newest"], now), *map(str, counts), output.size(row["freeable_bytes"]))


def coverage(
    databases: Mapping[str, datetime | None],
    operations: Sequence[Operation],
    backups: Sequence[Backup],
    left: Iterable[dict[str, Any]],
    now: datetime,
) -> list[dict[str, Any]]:
    """What `audit` shows, a row for each database, those too that are gone and have backups left.

    Data from before a database's creation are of an earlier one of its name, which was dropped.
    """
    mine: dict[tuple[str, bool], tuple[list[Operation], list[Backup], list[dict[str, Any]]]] = {}

    def of(database: str, since: datetime | None) -> tuple[list[Operation], list[Backup], list[dict[str, Any]]]:
        created = databases.get(database)
        earlier = created is not None and since is not None and since < created
        return mine.setdefault((database, earlier), ([], [], []))

    for name in databases:
        of(name, None)
    for operation in operations:
        of(operation.database, operation.started)[0].append(operation)
    data = {one.name: one.version_time or one.created for one in backups}
    for backup in backups:
        of(backup.database, data[backup.name])[1].append(backup)
    for stray in left:
        of(stray["database"], data[stray["backup"]])[2].append(stray)
    return [
        {**_coverage(name, *found, now), "here": name in databases and not earlier, "earlier": earlier}
        for (name, earlier), found in sorted(mine.items(), key=lambda item: item[0])
    ]


def _coverage(
    name: str, operations: Sequence[Operation], backups: Sequence[Backup], left: Sequence[dict[str, Any]], now: datetime
) -> dict[str, Any]:
    ready = [one for one in backups if one.state == "READY" and one.created is not None]
    # A copy was created when it was copied, and its data is as old as those of its source.
    newest = max((time for one in ready if (time := one.version_time or one.created)), default=None)
    scheduled, asked = [one for one in ready if one.schedules], [one for one in ready if not one.schedules]
    both = _days(scheduled, now) & _days(asked, now)
    return {
        "database": name,
        "newest": newest,
        "age_s": int((now - newest).total_seconds()) if newest else None,
        "running": sum(not one.done for one in operations),
        "failed": sum(one.state == "FAILED" for one in operations),
        "expiring": sum(one.expires is not None and one.expires - now < SOON for one in ready),
        "scheduled": len(scheduled),
        "on_demand": len(asked),
        "double_cover": len(both) >= DOUBLE_DAYS_MIN,
        "strays": len(left),
        "freeable_bytes": sum(one["freeable_bytes"] for one in left),
    }


def _days(backups: Iterable[Backup], now: datetime) -> set[str]:
    return {f"{one.created:%F}" for one in backups if one.created and now - one.created < LATELY}
