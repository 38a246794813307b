"""What a `start` of one database does, and what is told of it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from backstop.dispatch import deliver
from backstop.execute import Report
from backstop.followups import Intent, Poll
from backstop.lifecycle import State
from backstop.operations import Listing
from backstop.polling import HISTORY_SPREAD
from backstop.ports import Settings
from backstop.wire import parse_follow_up
from emulators.errors import Code
from emulators.faults import Fault
from emulators.spanner import requests as rpc
from emulators.spanner.history import What
from emulators.spanner.plans import Plan
from emulators.spanner.state import State as SpannerState
from tests.support.ports import SpannerPort, publish_of
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
from tests.unit.told import LOSES, WINS, of_nightly

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from backstop.names import BackupName
    from backstop.operations import Backup
    from backstop.wire import Delivery
    from emulators.faults import When

NAMED = pytest.mark.parametrize("named", [{}, {"backup_id": "nightly"}], ids=["derived", "named"])


def test_a_start_starts_a_backup_and_says_so() -> None:
    """It is told in full, and its chain begins with all that is known."""
    world = World(LOSES)

    report = world.send(action="start", database=ORDERS, backup_id="nightly", cancel_after="1h", if_created="keep")

    assert world.results == [of_nightly(world, "STARTED", "Started {backup} of " + f"{ORDERS}.")]
    operation = world.results[0]["operation"]
    assert replace(report, results=(), next_poll=None) == Report("start", (), operation, ORDERS, State.RUNNING, 0)
    (task,) = world.tasks.pending()
    look = parse_follow_up(publish_of(task).messages[0].data)
    assert isinstance(look, Poll)
    assert (look.step, look.operation, look.database, look.intent) == (1, operation, ORDERS, Intent.KEEP)
    assert (look.cancel_at, look.if_created, look.give_up_at) == (START + HOUR, "keep", START + 3 * DAY)
    assert (look.expected_seconds, look.expected_spread) == (None, HISTORY_SPREAD)


def test_a_start_is_followed_to_its_end() -> None:
    """Without another command the chain of looks ends in one COMPLETED."""
    world = World(Plan(duration=2 * HOUR, size_bytes=7_000_000_000))
    world.send(action="start", database=ORDERS, backup_id="nightly")

    world.looks()

    assert world.outcomes == ["STARTED", "COMPLETED"]
    assert (world.results[-1]["end_time"], world.results[-1]["size_bytes"]) == ("2026-11-22T04:00:00Z", 7_000_000_000)
    assert world.detail == f"{NIGHTLY} is complete and is kept until 2026-12-06 02:00 UTC."
    assert world.exists()


@pytest.mark.parametrize(
    ("given", "setting", "expected"),
    [
        ("6h", DAY, 6 * HOUR + 5 * MINUTE),
        ("7h", DAY, 7 * HOUR),
        ("366d", DAY, 366 * DAY - 5 * MINUTE),
        (None, 3 * DAY, 3 * DAY),
    ],
)
def test_a_backup_is_kept_as_long_as_it_should_but_off_the_edges_of_what_spanner_accepts(
    given: str | None, setting: timedelta, expected: timedelta
) -> None:
    """Spanner's clock decides at the edges; the microseconds are the mark of who made it."""
    world = World(settings=Settings(FOLLOW_UPS, retention=setting))

    world.send(action="start", database=ORDERS, backup_id="nightly", retention=given)

    expires = world.backup().expire_time
    assert expires.replace(microsecond=0) == START + expected
    assert expires.microsecond % 1000


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
    """The second attaches to what the first one started, by its name: database, time, and digits of the message."""
    world = World()
    world.send(action="start", database=ORDERS)

    world.tick(SECOND)
    world.again()

    assert world.begun == 1
    assert world.outcomes == ["STARTED", "STARTED"]
    assert re.fullmatch(f"{INSTANCE}/backups/orders-20261122-020000-[0-9a-f]{{8}}", world.results[0]["backup"])
    assert world.results[0]["operation"] == world.results[1]["operation"]
    assert len({message.attributes["ce-id"] for message in world.pubsub.published(RESULTS)}) == 1
    assert len(world.tasks.pending()) == 1


@NAMED
@pytest.mark.parametrize("method", ["CreateBackup", "CreateTask", "Publish"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_call_that_is_lost_anywhere_on_the_way_is_made_up_for_by_the_redelivery(
    method: str, when: When, named: dict[str, str]
) -> None:
    """A response that is lost after its effect does no harm, and neither does one that is lost before it."""
    world = World()
    world.faults.plan(Fault(method, Code.UNAVAILABLE, when))

    refused = world.send(action="start", database=ORDERS, **named)
    assert refused.retry
    assert refused.error is not None
    assert refused.error.code == "UNAVAILABLE"
    world.again()
    world.looks()

    assert world.begun == 1
    assert set(world.outcomes) == {"STARTED", "COMPLETED"}
    assert world.outcomes.count("COMPLETED") == 1


@NAMED
@pytest.mark.parametrize("later", [SECOND, 3 * HOUR], ids=["running", "complete"])
def test_a_message_that_came_again_with_another_publish_time_made_two_backups(
    named: dict[str, str], later: timedelta
) -> None:
    """Pub/Sub has been seen to do so; the message's id is what counts."""
    world = World(Plan(duration=2 * HOUR))
    delivery = world.publish({"action": "start", "database": ORDERS, **named})
    world.deliver(delivery)

    world.tick(later)
    world.deliver(replace(delivery, publish_time=START + MINUTE))

    assert world.begun == 1
    assert world.outcomes == ["STARTED", "STARTED"]
    assert len(world.tasks.pending()) == 1


def test_a_start_does_not_take_an_older_attempt_of_its_name_that_came_to_nothing_for_its_own() -> None:
    """It would tell of that one's end, and start nothing."""
    world = World()
    older = world.start_by_hand()
    world.cancel_by_hand(older)
    world.tick(11 * SECOND)

    world.send(action="start", database=ORDERS, backup_id="nightly")

    assert world.outcomes == ["STARTED"]
    assert world.results[0]["operation"] != older


class Meanwhile(SpannerPort):
    """Spanner, where something happens between the first list and what comes after it."""

    def __init__(self, world: World, happens: Callable[[], object]) -> None:
        """Takes what happens."""
        super().__init__(world.spanner, world.clock, world.faults)
        self.happens: Callable[[], object] | None = happens

    def list_operations(self, *args: Any, **kwargs: Any) -> Listing:  # noqa: ANN401 handed on as they come
        """Lists, and lets it happen."""
        listed = super().list_operations(*args, **kwargs)
        happens, self.happens = self.happens, None
        if happens is not None:
            happens()
        return listed


@NAMED
@pytest.mark.parametrize("exists_first", [True, False])
def test_a_start_attaches_to_what_a_faster_delivery_started_meanwhile(
    named: dict[str, str], *, exists_first: bool
) -> None:
    """Of two deliveries at once, the one that Spanner refuses finds the other's operation, whatever the refusal."""
    world = World()
    world.spanner = SpannerState(databases=[ORDERS], exists_before_pending=exists_first)
    delivery = world.publish({"action": "start", "database": ORDERS, **named})
    spanner = Meanwhile(world, lambda: world.deliver(delivery))

    deliver(delivery, world.now, replace(world.ports, spanner=spanner), world.settings)

    assert world.calls["CreateBackup"] == 2
    assert world.begun == 1
    assert world.outcomes == ["STARTED", "STARTED"]
    assert len(world.tasks.pending()) == 1


def interrupted(world: World, **more: str) -> Delivery:
    """A start that made its backup and died before it could have it followed."""
    world.faults.plan(Fault("CreateTask", Code.UNAVAILABLE))
    assert world.send(action="start", database=ORDERS, backup_id="nightly", **more).retry
    assert world.last is not None
    return world.last


class Changed(SpannerPort):
    """Spanner, but somebody has changed every backup's expiry."""

    def get_backup(self, name: BackupName) -> Backup:
        """Reads one backup."""
        return replace(super().get_backup(name), expire_time=START + DAY)

    def list_operations(self, *args: Any, **kwargs: Any) -> Listing:  # noqa: ANN401 handed on as they come
        """Reads the operations."""
        (one,) = super().list_operations(*args, **kwargs).operations
        return Listing((replace(one, response=one.response and replace(one.response, expire_time=START + DAY)),))


@pytest.mark.parametrize("later", [SECOND, 2 * HOUR], ids=["running", "complete"])
def test_a_backup_whose_expiry_a_person_has_changed_is_not_taken_over(later: timedelta) -> None:
    """Doubt protects: it may be another's, so it is named, and the start's limit neither stops nor deletes it."""
    world = World(Plan(duration=HOUR))
    delivery = interrupted(world, cancel_after="0s")
    world.tick(later)

    deliver(delivery, world.now, replace(world.ports, spanner=Changed(world.spanner, world.clock)), world.settings)

    assert world.outcomes == ["REJECTED"]
    assert f"{NIGHTLY}/operations/" in world.detail
    assert not world.tasks.pending()


def test_an_expiry_that_was_changed_after_the_end_takes_no_proof_away() -> None:
    """The operation's answer still has the mark, so the start tells at once what has become of it."""
    world = World(Plan(duration=HOUR))
    interrupted(world)
    world.tick(2 * HOUR)
    world.spanner.apply(world.now, rpc.UpdateBackup(NIGHTLY, START + DAY, ("expire_time",)))

    assert world.again().next_poll == 0 * SECOND
    world.look()

    assert world.outcomes == ["STARTED", "COMPLETED"]
    assert world.detail == f"{NIGHTLY} is complete and is kept until 2026-11-23 02:00 UTC."


def test_of_two_that_bear_a_start_s_mark_the_older_one_is_its_own() -> None:
    """A second one can only come of a delivery that didn't see the first."""
    world = World(Plan(duration=HOUR))
    interrupted(world)
    world.tick(2 * HOUR)
    expire_time = world.backup().expire_time
    operation = next(event.operation for event in world.spanner.history if event.what is What.BACKUP_STARTED)
    world.delete_by_hand(NIGHTLY)
    world.spanner.apply(world.now, rpc.CreateBackup(INSTANCE, "nightly", ORDERS, expire_time))

    world.again()

    assert [(one["outcome"], one["operation"]) for one in world.results] == [("STARTED", operation)]


@pytest.mark.parametrize(
    "by", ["cancelled", "cancelled, as another one since", "deleted, and the name taken by another"]
)
def test_a_start_whose_backup_somebody_stopped_does_not_begin_anew_when_it_comes_again(by: str) -> None:
    """What was begun and came to nothing is told of as what it is."""
    world = World(Plan(duration=2 * HOUR, cancel_duration=None if "deleted" in by else 10 * SECOND))
    interrupted(world)
    (operation,) = (event.operation for event in world.spanner.history if event.what is What.BACKUP_STARTED)
    assert operation is not None
    world.tick(SECOND)
    if "cancelled" in by:
        world.cancel_by_hand(operation)
        world.tick(11 * SECOND)
        if "another" in by:
            world.cancel_by_hand(world.start_by_hand())
            world.tick(11 * SECOND)
    else:
        world.delete_by_hand(NIGHTLY)
        world.start_scheduled("nightly")
    begun = world.begun

    world.again()

    assert world.begun == begun
    outcome = "REJECTED" if "deleted" in by else "STARTED"
    assert [(result["outcome"], result["operation"]) for result in world.results] == [(outcome, operation)]


@pytest.mark.parametrize(
    ("cancel_after", "if_created", "plan", "end"),
    [
        ("0s", "delete", WINS, "CANCELLED"),
        ("1h", "delete", LOSES, "COMPLETED_THEN_DELETED"),
        ("1h", "keep", LOSES, "COMPLETED_KEPT"),
    ],
)
def test_a_start_that_takes_too_long_is_stopped_at_its_limit(
    cancel_after: str, if_created: str, plan: Plan, end: str
) -> None:
    """A poll comes at the very moment of the limit, or as soon as one may; `0s` is the samples' create and cancel."""
    world = World(plan)

    world.send(action="start", database=ORDERS, backup_id="nightly", cancel_after=cancel_after, if_created=if_created)
    world.looks()

    assert world.outcomes == ["STARTED", "CANCEL_REQUESTED", end]
    received = next(event for event in world.spanner.history if event.what is What.CANCEL_RECEIVED)
    assert received.at == START + (HOUR if cancel_after == "1h" else 10 * SECOND)
    assert world.exists() is (end == "COMPLETED_KEPT")


def test_a_start_that_ends_just_before_its_limit_is_kept_however_late_the_look() -> None:
    """The operation's end decides, by Spanner's clock, and not the time at which somebody looks."""
    world = World(Plan(duration=HOUR - SECOND))
    world.send(action="start", database=ORDERS, backup_id="nightly", cancel_after="1h")

    world.tick(5 * HOUR)
    world.looks()

    assert world.outcomes == ["STARTED", "COMPLETED"]
    assert world.exists()


def test_history_tells_when_a_backup_should_end() -> None:
    """A database whose backups took three hours isn't asked about in the first one."""
    world = World(Plan(duration=3 * HOUR))
    first = world.send(action="start", database=ORDERS)
    world.looks()

    second = world.send(action="start", database=ORDERS)

    assert first.next_poll is not None
    assert second.next_poll is not None
    assert first.next_poll < HOUR / 2 < second.next_poll


@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
def test_a_start_carries_along_how_long_its_backup_should_take(*, many: bool) -> None:
    """From the same database's earlier ones, whatever others took."""
    world = World(LOSES, databases=(ORDERS, USERS))
    world.start_by_hand("one")
    world.start_by_hand("two", USERS)
    world.tick(3 * HOUR)

    if many:
        world.send(action="start", instance=INSTANCE, databases=["orders"])
        world.look()
        world.look()
    else:
        world.send(action="start", database=ORDERS)

    waiting = [parse_follow_up(publish_of(task).messages[0].data) for task in world.tasks.pending()]
    (look,) = (one for one in waiting if isinstance(one, Poll))
    assert (look.expected_seconds, look.expected_spread) == (7200, 0.231)
