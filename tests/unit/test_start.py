"""What a `start` of one database does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backstop.deliver import deliver
from backstop.ports import Settings
from emulators.errors import Code
from emulators.faults import Fault
from emulators.spanner.history import What
from emulators.spanner.plans import Plan
from emulators.spanner.records import Status
from emulators.spanner.state import State
from tests.support.ports import SpannerPort
from tests.unit.handlers_world import (
    DAY,
    FOLLOW_UPS,
    HOUR,
    INSTANCE,
    MINUTE,
    NIGHTLY,
    ORDERS,
    RESULTS,
    SECOND,
    START,
    USERS,
    World,
)

if TYPE_CHECKING:
    from datetime import timedelta

    from backstop.names import BackupName, DatabaseName, InstanceName
    from backstop.ports import Operation
    from emulators.faults import When


def started(world: World) -> int:
    """How many backups were ever started."""
    return sum(event.what is What.BACKUP_STARTED for event in world.spanner.history)


def test_a_start_starts_a_backup_and_says_so() -> None:
    """The backup has the derived name and the default retention, and the next look is waiting."""
    world = World()

    report = world.send(action="start", database=ORDERS)

    (result,) = world.results
    assert result["outcome"] == "STARTED"
    assert result["backup"].startswith(f"{INSTANCE}/backups/orders-20261122-020000-")
    assert world.backup(result["backup"]).expire_time == START + 14 * DAY
    assert (report.command, report.state, report.step) == ("start", "RUNNING", 0)
    assert report.next_look is not None
    assert len(world.tasks.pending()) == 1


def test_a_start_is_followed_to_its_end() -> None:
    """Without another command the chain of looks ends in one COMPLETED."""
    world = World(Plan(duration=2 * HOUR, size_bytes=7_000_000_000))
    world.send(action="start", database=ORDERS, backup_id="nightly")

    world.looks()

    assert world.outcomes == ["STARTED", "COMPLETED"]
    result = world.results[-1]
    assert result["end_time"] == "2026-11-22T04:00:00Z"
    assert result["size_bytes"] == 7_000_000_000
    assert "is complete and is kept until 2026-12-06 02:00 UTC" in result["detail"]
    assert world.exists()


@pytest.mark.parametrize(
    ("retention", "expected"),
    [("6h", 6 * HOUR + 5 * MINUTE), ("7h", 7 * HOUR), ("30d", 30 * DAY), ("366d", 366 * DAY - 5 * MINUTE)],
)
def test_a_retention_keeps_off_the_edges_of_what_spanner_accepts(retention: str, expected: timedelta) -> None:
    """Spanner's clock decides, so the shortest and the longest get a margin."""
    world = World()

    world.send(action="start", database=ORDERS, backup_id="nightly", retention=retention)

    assert world.backup().expire_time - START == expected


def test_the_default_retention_is_the_operator_s() -> None:
    """A command that says nothing takes the setting."""
    world = World(settings=Settings(FOLLOW_UPS, retention=3 * DAY))

    world.send(action="start", database=ORDERS, backup_id="nightly")

    assert world.backup().expire_time == START + 3 * DAY


def test_version_time_and_encryption_reach_spanner() -> None:
    """What the command says of the backup's contents is passed on."""
    world = World()
    key = "projects/demo-project/locations/europe-west1/keyRings/r/cryptoKeys/k"

    world.send(
        action="start",
        database=ORDERS,
        backup_id="nightly",
        version_time="2026-11-22T01:30:00Z",
        encryption={"type": "CUSTOMER_MANAGED_ENCRYPTION", "kms_key_names": [key]},
    )

    assert world.backup().version_time == START - 30 * MINUTE
    assert world.backup().kms_key_names == (key,)


def test_a_start_that_is_delivered_twice_starts_one_backup_and_one_chain() -> None:
    """The second delivery attaches to what the first one started."""
    world = World()
    world.send(action="start", database=ORDERS)

    world.tick(SECOND)
    world.again()

    assert started(world) == 1
    assert world.outcomes == ["STARTED", "STARTED"]
    assert world.results[0]["operation"] == world.results[1]["operation"]
    assert len({message.attributes["ce-id"] for message in world.pubsub.published(RESULTS)}) == 1
    assert len(world.tasks.pending()) == 1


@pytest.mark.parametrize("backup_id", [None, "nightly"])
@pytest.mark.parametrize("method", ["CreateBackup", "CreateTask", "Publish"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_call_that_is_lost_anywhere_on_the_way_is_made_up_for_by_the_redelivery(
    method: str, when: When, backup_id: str | None
) -> None:
    """A response that is lost after its effect does no harm, and neither does one that is lost before it."""
    world = World()
    world.faults.plan(Fault(method, Code.UNAVAILABLE, when))
    command = {"action": "start", "database": ORDERS} | ({"backup_id": backup_id} if backup_id else {})

    refused = world.send(**command)
    assert refused.retry
    assert refused.error is not None
    assert refused.error.code == "UNAVAILABLE"
    world.again()
    world.looks()

    assert started(world) == 1
    assert set(world.outcomes) == {"STARTED", "COMPLETED"}
    assert world.outcomes.count("COMPLETED") == 1


def test_a_redelivery_that_finds_the_backup_ended_reports_its_end_at_once() -> None:
    """The first delivery died before it could schedule a look; the second comes when all is over."""
    world = World(Plan(duration=MINUTE))
    world.faults.plan(Fault("CreateTask", Code.UNAVAILABLE))
    world.send(action="start", database=ORDERS)

    world.tick(10 * MINUTE)
    report = world.again()
    world.look()

    assert report.next_look is not None
    assert report.next_look.total_seconds() == 0
    assert world.outcomes == ["STARTED", "COMPLETED"]


@pytest.mark.parametrize("exists_first", [True, False])
def test_a_start_attaches_to_what_a_faster_delivery_started_meanwhile(*, exists_first: bool) -> None:
    """Of two deliveries at once, the one that Spanner refuses finds the other's operation, whatever the refusal."""
    world = World()
    world.spanner = State(databases=[ORDERS], exists_before_pending=exists_first)
    delivery = world.publish({"action": "start", "database": ORDERS, "backup_id": "nightly"})

    class Overtaken(SpannerPort):
        """The other delivery comes between the list and the create."""

        def list_operations(
            self, instance: InstanceName, *, database: DatabaseName | None = None, backup: BackupName | None = None
        ) -> list[Operation]:
            """Lists, and lets the other delivery go ahead."""
            listed = super().list_operations(instance, database=database, backup=backup)
            if not started(world):
                world.start_by_hand()
            return listed

    ports = replace(world.ports, spanner=Overtaken(world.spanner, world.clock, world.faults))
    report = deliver(delivery, world.now, ports, world.settings)

    assert world.calls["CreateBackup"] == 1
    assert world.outcomes == ["STARTED"]
    assert report.next_look is not None
    assert started(world) == 1


def test_a_name_that_somebody_else_holds_is_not_taken_over() -> None:
    """An older backup of that name is left alone, and the refusal names who holds it."""
    world = World(Plan(duration=MINUTE))
    holder = world.start_by_hand()
    world.tick(HOUR)
    world.start_by_hand("another")
    world.tick(HOUR)

    report = world.send(action="start", database=ORDERS, backup_id="nightly")

    assert world.outcomes == ["REJECTED"]
    assert report.results[0].error is not None
    assert report.results[0].error.code == "ALREADY_EXISTS"
    assert f"the name is held by the backup of {holder}" in world.detail
    assert world.exists()
    assert started(world) == 2
    assert not world.tasks.pending()


def test_a_slot_that_somebody_else_holds_is_not_taken_over() -> None:
    """One backup of a database can be pending; a running one that isn't ours keeps the slot."""
    world = World()
    holder = world.start_by_hand("by-hand")
    world.tick(HOUR / 2)

    report = world.send(action="start", database=ORDERS, backup_id="nightly")

    assert world.outcomes == ["REJECTED"]
    assert report.results[0].error is not None
    assert report.results[0].error.code == "FAILED_PRECONDITION"
    assert f"the database's slot is held by {holder}, started at 2026-11-22T02:00:00+00:00" in world.detail
    assert not world.tasks.pending()


def test_a_scheduled_backup_that_happens_to_have_the_name_is_not_taken_over() -> None:
    """Same name, same database, started after the message: yet a native schedule's, and not ours to stop."""
    world = World()
    delivery = world.publish({"action": "start", "database": ORDERS, "backup_id": "nightly", "cancel_after": "0s"})
    holder = world.start_scheduled("nightly")

    world.deliver(delivery)

    assert world.outcomes == ["REJECTED"]
    assert holder in world.detail
    assert not world.cancelled(holder)
    assert not world.tasks.pending()


def test_a_refusal_that_nobody_s_operation_explains_is_told_in_google_s_words() -> None:
    """Where no operation holds name or slot, Google's text stands alone."""
    world = World()
    world.faults.plan(Fault("CreateBackup", Code.FAILED_PRECONDITION, message="The database is not ready."))

    world.send(action="start", database=ORDERS, backup_id="nightly")

    assert world.outcomes == ["REJECTED"]
    assert world.detail == "Google refused: The database is not ready."


@pytest.mark.parametrize(("late", "outcome"), [(HOUR, "STARTED"), (HOUR + SECOND, "REJECTED")])
def test_a_start_that_comes_too_late_is_not_carried_out(late: timedelta, outcome: str) -> None:
    """`start_within` is counted from publishing to delivery; the limit itself is still in time."""
    world = World()
    delivery = world.publish({"action": "start", "database": ORDERS, "start_within": "1h"})

    world.tick(late)
    world.deliver(delivery)

    assert world.outcomes == [outcome]
    assert started(world) == (outcome == "STARTED")
    if outcome == "REJECTED":
        assert "the message came 1h1s after it was published, more than 1h" in world.detail


def test_a_start_that_comes_again_too_late_still_follows_what_it_started_in_time() -> None:
    """The limit is for starting; what was started is never left alone."""
    world = World(Plan(duration=4 * HOUR))
    world.faults.plan(Fault("CreateTask", Code.UNAVAILABLE))
    world.send(action="start", database=ORDERS, start_within="1h")

    world.tick(2 * HOUR)
    world.again()
    world.looks()

    assert world.outcomes == ["STARTED", "COMPLETED"]


def test_a_start_that_is_cancelled_at_once_leaves_nothing_behind() -> None:
    """`cancel_after: 0s` is the samples' create and cancel."""
    world = World(Plan(duration=HOUR, cancel_duration=5 * SECOND))

    world.send(action="start", database=ORDERS, backup_id="nightly", cancel_after="0s")
    world.looks()

    assert world.outcomes == ["STARTED", "CANCEL_REQUESTED", "CANCELLED"]
    assert world.results[-1]["billed"] == {"hours_min": 0, "size_bytes": 0}
    assert not world.exists()
    assert world.now < START + 2 * MINUTE


def test_a_start_that_takes_too_long_is_stopped_at_its_limit() -> None:
    """A look is made at the very moment of the limit, however far off the next one would be."""
    world = World(Plan(duration=6 * HOUR, cancel_duration=None))

    world.send(action="start", database=ORDERS, backup_id="nightly", cancel_after="1h")
    world.looks()

    assert world.outcomes == ["STARTED", "CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]
    received = next(event for event in world.spanner.history if event.what is What.CANCEL_RECEIVED)
    assert received.at == START + HOUR
    assert not world.exists()


def test_a_start_that_ends_just_before_its_limit_is_kept_however_late_the_look() -> None:
    """The operation's end decides, by Spanner's clock, and not the time at which somebody looks."""
    world = World(Plan(duration=HOUR - SECOND))
    world.send(action="start", database=ORDERS, backup_id="nightly", cancel_after="1h")

    world.tick(5 * HOUR)
    world.looks()

    assert world.outcomes == ["STARTED", "COMPLETED"]
    assert world.exists()


def test_a_start_whose_stop_came_too_late_may_keep_the_backup() -> None:
    """`if_created: keep` stops what can be stopped and never deletes."""
    world = World(Plan(duration=2 * HOUR, cancel_duration=None))

    world.send(action="start", database=ORDERS, backup_id="nightly", cancel_after="1h", if_created="keep")
    world.looks()

    assert world.outcomes == ["STARTED", "CANCEL_REQUESTED", "COMPLETED_KEPT"]
    assert world.exists()


def test_history_tells_when_a_backup_should_end() -> None:
    """A database whose backups took three hours isn't asked about in the first one."""
    world = World(Plan(duration=3 * HOUR))
    world.send(action="start", database=ORDERS)
    first = len(world.looks())

    report = world.send(action="start", database=ORDERS)
    second = len(world.looks())

    assert report.next_look is not None
    assert report.next_look >= 50 * MINUTE
    assert second < first


def test_a_dry_run_says_what_would_be_started_and_touches_nothing() -> None:
    """The name and the expiry are resolved, and who is in the way."""
    world = World()
    holder = world.start_by_hand()

    world.send(action="start", database=ORDERS, dry_run=True)

    (result,) = world.results
    assert result["outcome"] == "DRY_RUN"
    assert result["backup"].startswith(f"{INSTANCE}/backups/orders-20261122-020000-")
    assert "to expire at 2026-12-06 02:00 UTC" in result["detail"]
    assert holder in result["detail"]
    assert started(world) == 1
    assert set(world.calls) == {"ListBackupOperations", "Publish"}


@pytest.mark.parametrize(
    ("code", "words"),
    [(Code.PERMISSION_DENIED, "no role"), (Code.INVALID_ARGUMENT, "bad time"), (Code.UNIMPLEMENTED, "not here")],
)
def test_a_start_that_google_refuses_for_good_is_rejected_in_its_words(code: Code, words: str) -> None:
    """No retry can help, so the message is acknowledged."""
    world = World()
    world.faults.plan(Fault("CreateBackup", code, message=words))

    report = world.send(action="start", database=ORDERS)

    (result,) = world.results
    assert result["outcome"] == "REJECTED"
    assert result["error"] == {"code": code.name, "message": words}
    assert (result["database"], report.retry) == (ORDERS, False)


def test_a_start_of_a_database_that_is_not_there_is_rejected() -> None:
    """Spanner says what is missing."""
    world = World()

    world.send(action="start", database=USERS)

    assert world.outcomes == ["REJECTED"]
    assert USERS in world.detail


def test_a_backup_that_fails_is_told_with_its_error() -> None:
    """FAILED carries Google's code and text."""
    world = World(Plan(duration=HOUR, error=Status(Code.INTERNAL, "disk on fire")))

    world.send(action="start", database=ORDERS, backup_id="nightly")
    world.looks()

    assert world.outcomes == ["STARTED", "FAILED"]
    assert world.results[-1]["error"] == {"code": "INTERNAL", "message": "disk on fire"}
    assert world.detail == f"{NIGHTLY} failed with INTERNAL: disk on fire."
