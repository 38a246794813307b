"""Each way in which a command or a backup can end, seen from outside: what was published and what Spanner holds.

The tests run at once, each in an instance of its own, in a deployment that they share, as it is in production.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.cloud.spanner_admin_database_v1 import Backup

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.spanner.history import What
from spanner_backup_emulator.spanner.plans import Status
from tests.e2e.lab import DEAF, ENDLESS, STUBBORN, Lab, lifetime, played, push_body, quick, seconds
from tests.waiting import wait_until

TOUCHED = (What.BACKUP_STARTED, What.BACKUP_DELETED, What.CANCEL_RECEIVED, What.EXPIRY_CHANGED)
"""What an instance that nobody touched has none of."""


@played()
def test_a_backup_is_started_and_reported_complete(lab: Lab) -> None:
    """A start says that it started, and then that the backup is complete and how long it is kept."""
    message_id = lab.publish("start", database=lab.database(quick()))

    started, completed = lab.end_events(message_id)
    assert (started.outcome, completed.outcome) == ("STARTED", "COMPLETED")
    backup = lab.backup(completed.data["backup"])
    assert backup is not None
    assert backup.state is Backup.State.READY
    assert datetime.fromisoformat(completed.data["expire_time"]) == backup.expire_time
    assert abs(lifetime(backup) - timedelta(days=14)) < seconds(10)
    assert completed.data["size_bytes"] == backup.size_bytes > 0


@played()
def test_what_a_start_says_arrives_at_spanner(lab: Lab) -> None:
    """The id, the retention, the version time and the key of the command are those of the backup."""
    key = "projects/orders/locations/europe-west1/keyRings/ring/cryptoKeys/key"
    version_time = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
    message_id = lab.publish(
        "start",
        database=lab.database(quick()),
        backup_id="before-migration",
        retention="7h30m",
        version_time=version_time.isoformat(),
        encryption={"type": "CUSTOMER_MANAGED_ENCRYPTION", "kms_key_names": [key]},
    )

    assert lab.ends(message_id) == ["STARTED", "COMPLETED"]
    backup = lab.backup(f"{lab.instance}/backups/before-migration")
    assert backup is not None
    assert abs(lifetime(backup) - timedelta(hours=7, minutes=30)) < seconds(10)
    assert backup.version_time == version_time
    assert backup.encryption_info.kms_key_version.startswith(key)


@played()
def test_a_backup_that_fails_is_reported_in_googles_words(lab: Lab) -> None:
    """The code and the text of a failed operation are those of the outcome, and nothing is left."""
    plan = quick(error=Status(Code.INTERNAL, "The backup met a bad sector."))
    message_id = lab.publish("start", database=lab.database(plan))

    started, failed = lab.end_events(message_id)
    assert (started.outcome, failed.outcome) == ("STARTED", "FAILED")
    assert failed.data["error"] == {"code": "INTERNAL", "message": "The backup met a bad sector."}
    assert lab.left_behind() == []


@played()
def test_a_cancel_stops_its_backup_by_whichever_name_it_is_known(lab: Lab) -> None:
    """Who cancels need only know the database; both chains tell the end, and nothing is left."""
    for by in ("database", "backup", "operation"):
        message_id, operation, backup = lab.started(ENDLESS, backup_id=f"by-{by}")
        names = {"operation": operation, "backup": backup, "database": f"{lab.instance}/databases/orders"}

        requested, cancelled = lab.end_events(lab.publish("cancel", **{by: names[by]}))
        assert (requested.outcome, cancelled.outcome) == ("CANCEL_REQUESTED", "CANCELLED")
        assert (cancelled.data["operation"], cancelled.data["billed"]) == (operation, {"hours_min": 0})
        assert lab.ends(message_id) == ["STARTED", "CANCELLED"]
        assert lab.left_behind() == []


@played()
def test_a_cancel_that_comes_too_late_deletes_the_backup(lab: Lab) -> None:
    """The cancel is accepted and loses: the backup is deleted, and its price is told."""
    message_id, operation, backup = lab.started(STUBBORN)
    cancel_id = lab.publish("cancel", operation=operation)

    requested, deleted = lab.end_events(cancel_id)
    assert (requested.outcome, deleted.outcome) == ("CANCEL_REQUESTED", "COMPLETED_THEN_DELETED")
    assert deleted.data["billed"]["hours_min"] == 24
    assert [event.resource for event in lab.calls("DeleteBackup")] == [backup]
    assert lab.left_behind() == []
    assert lab.ends(message_id) == ["STARTED", "COMPLETED_DESPITE_CANCEL"]


@played()
def test_a_cancel_after_the_end_is_a_lost_race_if_it_names_the_backup(lab: Lab) -> None:
    """A backup that was complete before the cancel is deleted, though Spanner never saw one; by database it is kept."""
    message_id = lab.publish("start", database=lab.database(quick()))
    assert lab.ends(message_id) == ["STARTED", "COMPLETED"]
    (backup,) = lab.left_behind()

    assert lab.ends(lab.publish("cancel", database=f"{lab.instance}/databases/orders")) == ["NOTHING_TO_CANCEL"]
    assert lab.left_behind() == [backup]
    assert lab.ends(lab.publish("cancel", backup=backup)) == ["COMPLETED_THEN_DELETED"]
    assert lab.calls("CancelOperation") == []
    assert lab.left_behind() == []


@played()
def test_if_created_keep_keeps_the_backup(lab: Lab) -> None:
    """Who wants no backup and yet would keep one that is complete can say so."""
    _, operation, backup = lab.started(STUBBORN)
    cancel_id = lab.publish("cancel", operation=operation, if_created="keep")

    assert lab.ends(cancel_id) == ["CANCEL_REQUESTED", "COMPLETED_KEPT"]
    assert lab.left_behind() == [backup]


@played()
def test_a_cancel_of_an_unknown_operation_is_gone(lab: Lab) -> None:
    """Spanner forgets operations after 7 days; that is an outcome, and no error."""
    operation = f"{lab.instance}/backups/old/operations/_auto_op_1"

    assert lab.ends(lab.publish("cancel", operation=operation)) == ["GONE"]
    assert lab.ends(lab.publish("follow", operation=operation)) == ["GONE"]


@played()
def test_a_cancel_where_nothing_runs_does_nothing(lab: Lab) -> None:
    """A database without a backup under way has nothing to cancel."""
    assert lab.ends(lab.publish("cancel", database=lab.database(ENDLESS))) == ["NOTHING_TO_CANCEL"]


@played()
def test_a_backup_that_runs_past_its_limit_is_stopped_or_else_deleted(lab: Lab) -> None:
    """A start may say how long the backup is wanted; what was complete before its limit was never unwanted."""
    for plan, limit, ends in (
        (ENDLESS, "1s", ["STARTED", "CANCEL_REQUESTED", "CANCELLED"]),
        (STUBBORN, "1s", ["STARTED", "CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]),
        (quick(), "1h", ["STARTED", "COMPLETED"]),
    ):
        assert lab.ends(lab.publish("start", database=lab.database(plan), cancel_after=limit)) == ends
        assert bool(lab.left_behind()) is (limit == "1h")


@played()
def test_somebody_elses_backup_is_followed_to_its_end(lab: Lab) -> None:
    """What was started by hand is reported like everything else, by whichever name it is known."""
    operation, backup = lab.foreign(DEAF)
    targets = {"operation": operation, "backup": backup, "database": f"{lab.instance}/databases/orders"}
    message_ids = [lab.publish("follow", **{kind: name}) for kind, name in targets.items()]
    for message_id in message_ids:
        lab.lines(message_id)
    lab.stack.spanner.finish(operation)

    assert [lab.ends(message_id) for message_id in message_ids] == [["COMPLETED"]] * 3
    assert lab.left_behind() == [backup]


@played()
def test_somebody_elses_cancel_is_not_made_ours(lab: Lab) -> None:
    """Whoever cancelled decides about deleting: a backup that is merely followed stays."""
    operation, backup = lab.foreign(STUBBORN)
    lab.admin.cancel_operation({"name": operation})
    message_id = lab.publish("follow", operation=operation)

    assert lab.ends(message_id) == ["COMPLETED_DESPITE_CANCEL"]
    assert lab.left_behind() == [backup]


@played()
def test_a_blocked_delete_is_told_once_and_done_when_it_can_be(lab: Lab) -> None:
    """A backup that a restore still needs is deleted when the restore has ended."""
    start_id = lab.publish("start", database=lab.database(quick()))
    assert lab.ends(start_id) == ["STARTED", "COMPLETED"]
    (backup,) = lab.left_behind()
    restored = f"{lab.instance}/databases/restored"
    restore = lab.stack.spanner.begin_restore(backup, restored, ENDLESS.duration)
    cancel_id = lab.publish("cancel", backup=backup)
    wait_until(lambda: len(lab.calls("DeleteBackup")) > 1)
    lab.stack.spanner.finish(restore.name)

    blocked, deleted = lab.end_events(cancel_id)
    assert (blocked.outcome, deleted.outcome) == ("DELETE_BLOCKED", "COMPLETED_THEN_DELETED")
    assert restored in blocked.data["detail"]
    assert blocked.data["error"]["code"] == "FAILED_PRECONDITION"
    codes = [event.code for event in lab.calls("DeleteBackup")]
    assert codes == [Code.FAILED_PRECONDITION] * (len(codes) - 1) + [Code.OK]
    assert len(codes) > 2, "the delete was tried only once while it was blocked"
    assert lab.left_behind() == []


@played()
def test_a_dry_run_touches_nothing(lab: Lab) -> None:
    """Every command can be tried out: it says what it would do, and Spanner doesn't notice."""
    operation, backup = lab.foreign(ENDLESS)
    wait_until(lambda: lab.calls("CreateBackup"))
    before = lab.history(*TOUCHED)
    other = lab.database(ENDLESS, "users")
    commands: list[tuple[str, dict[str, object]]] = [
        ("start", {"database": other}),
        ("start", {"instance": lab.instance, "databases": ["us*"]}),
        ("cancel", {"backup": backup}),
        ("follow", {"operation": operation, "cancel_after": "0s"}),
        ("sweep", {"instance": lab.instance, "cancel_after": "0s"}),
    ]
    message_ids = [lab.publish(action, **fields, dry_run=True) for action, fields in commands]

    events = [lab.end_events(message_id) for message_id in message_ids]
    assert [[event.outcome for event in told] for told in events] == [["DRY_RUN"]] * len(commands)
    assert [told[0].data["detail"].split(":")[0].split(" projects/")[0] for told in events] == [
        "Would start",
        "Would start a backup of each of 1 databases",
        "Would cancel",
        "Would poll again",
        "Would cancel",
    ]
    assert lab.history(*TOUCHED) == before


@played()
def test_a_start_that_comes_too_late_is_rejected(lab: Lab) -> None:
    """After an outage the backlog doesn't start last night's backups at noon."""
    command = {"action": "start", "database": lab.database(quick()), "start_within": "1h"}
    message_id = f"late-{lab.instance}"
    body = push_body(command, message_id, datetime.now(UTC) - timedelta(hours=2))

    assert lab.post(body) == 204
    (rejected,) = lab.end_events(message_id)
    assert rejected.outcome == "REJECTED"
    assert "after it was published, more than 1h" in rejected.data["detail"]
    assert lab.history(*TOUCHED) == []


@played()
def test_a_start_of_an_instance_starts_what_matches(lab: Lab) -> None:
    """One message, one backup of each database that matches, and one sentence about them all."""
    for database_id in ("orders-eu", "orders-us", "users", "scratch"):
        lab.database(quick(), database_id)
    message_id = lab.publish("start", instance=lab.instance, databases=["orders-*", "users", "nobody*"])

    events = lab.end_events(message_id, last_words=3)
    wait_until(lambda: sum("databases" in event.data for event in lab.told(message_id)))
    events = lab.told(message_id)
    assert sorted(event.outcome for event in events) == ["COMPLETED"] * 3 + ["STARTED"] * 4
    (summary,) = (event.data["databases"] for event in events if "databases" in event.data)
    assert summary["started"] == ["orders-eu", "orders-us", "users"]
    assert summary["not_started"] == {"nobody*": "no database of the instance matches"}
    databases = [backup.database.rpartition("/")[2] for backup in lab.admin.list_backups(parent=lab.instance)]
    assert sorted(databases) == ["orders-eu", "orders-us", "users"]
