"""What no command may ask for, as the deployment says; and what each setting is when nobody says anything."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from backstop.events import Trigger
from backstop.gcp import settings
from backstop.policy import Policy, refusal
from backstop.ports import Settings
from backstop.wire import KIND_ATTRIBUTE, KIND_FOLLOW_UP, Delivery, parse_command
from emulators.errors import Code
from emulators.faults import Fault
from tests.unit.handlers_world import COMMANDS, FOLLOW_UPS, INSTANCE, NIGHTLY, ORDERS, START, World

REQUIRED = {
    "BACKSTOP_FOLLOW_UPS_TOPIC": FOLLOW_UPS,
    "BACKSTOP_TASKS_QUEUE": "projects/demo-project/locations/europe-west1/queues/backstop",
    "BACKSTOP_TASKS_SERVICE_ACCOUNT": "backstop-tasks@demo-project.iam.gserviceaccount.com",
}
STRICT = settings.read(REQUIRED).handlers.policy
WEAK: dict[str, object] = {"action": "start", "database": ORDERS, "encryption": {"type": "GOOGLE_DEFAULT_ENCRYPTION"}}
ELSEWHERE = Policy(instances=("projects/demo-project/instances/other", "projects/demo-project/instances/team-b-*"))

REFUSED: dict[str, tuple[dict[str, object], Policy, str, str]] = {
    "a cancel of what a schedule made": (
        {"action": "cancel", "database": ORDERS, "include_scheduled": True},
        STRICT,
        "include_scheduled",
        "BACKSTOP_ALLOW_SCHEDULED",
    ),
    "a follow of what a schedule made": (
        {"action": "follow", "database": ORDERS, "include_scheduled": True},
        STRICT,
        "include_scheduled",
        "BACKSTOP_ALLOW_SCHEDULED",
    ),
    "a sweep of what a schedule made": (
        {"action": "sweep", "instance": INSTANCE, "include_scheduled": True, "dry_run": True},
        STRICT,
        "include_scheduled",
        "BACKSTOP_ALLOW_SCHEDULED",
    ),
    "a sweep that stops everything": (
        {"action": "sweep", "instance": INSTANCE, "cancel_after": "0s"},
        STRICT,
        "cancel_after",
        "BACKSTOP_CANCEL_AFTER_MIN is 1h",
    ),
    "a sweep a second too short": (
        {"action": "sweep", "instance": INSTANCE, "cancel_after": "59m59s"},
        STRICT,
        "cancel_after",
        "BACKSTOP_CANCEL_AFTER_MIN is 1h",
    ),
    "a weaker key": (WEAK, STRICT, "encryption.type", "BACKSTOP_ALLOW_WEAKER_KEY"),
    "a start of another's database": (
        {"action": "start", "database": ORDERS},
        ELSEWHERE,
        "database",
        "BACKSTOP_INSTANCES",
    ),
    "a start of another's instance": (
        {"action": "start", "instance": INSTANCE},
        ELSEWHERE,
        "instance",
        "BACKSTOP_INSTANCES",
    ),
    "a cancel of another's backup": (
        {"action": "cancel", "backup": NIGHTLY},
        ELSEWHERE,
        "backup",
        "BACKSTOP_INSTANCES",
    ),
    "a follow of another's operation": (
        {"action": "follow", "operation": f"{NIGHTLY}/operations/_auto_op_1"},
        ELSEWHERE,
        "operation",
        "BACKSTOP_INSTANCES",
    ),
}

ALLOWED: dict[str, tuple[dict[str, object], Policy]] = {
    "a sweep at the floor": ({"action": "sweep", "instance": INSTANCE, "cancel_after": "1h"}, STRICT),
    "a sweep that stops nothing": ({"action": "sweep", "instance": INSTANCE}, STRICT),
    "a start that is stopped at once": ({"action": "start", "database": ORDERS, "cancel_after": "0s"}, STRICT),
    "the database's own key": (WEAK | {"encryption": {"type": "USE_DATABASE_ENCRYPTION"}}, STRICT),
    "a key of one's own": (
        WEAK | {"encryption": {"type": "CUSTOMER_MANAGED_ENCRYPTION", "kms_key_names": ["projects/p/k"]}},
        STRICT,
    ),
    "everything, where everything is allowed": (WEAK, Policy()),
    "an instance that a pattern names": ({"action": "cancel", "backup": NIGHTLY}, Policy(instances=(f"{INSTANCE}",))),
    "an instance of a project that is named": (
        {"action": "sweep", "instance": INSTANCE},
        Policy(instances=("projects/x/instances/y", "projects/demo-project/instances/m*")),
    ),
}


@pytest.mark.parametrize(("command", "policy", "field", "setting"), REFUSED.values(), ids=REFUSED.keys())
def test_what_the_deployment_forbids_is_refused_by_the_name_of_the_setting(
    command: dict[str, object], policy: Policy, field: str, setting: str
) -> None:
    """One REJECTED, with the field and the setting, and not one call to Spanner."""
    world = World(settings=Settings(FOLLOW_UPS, policy=policy))

    report = world.send(**command)

    (result,) = world.results
    assert (result["outcome"], result["field"], report.retry) == ("REJECTED", field, False)
    assert setting in result["detail"]
    assert world.calls == {"Publish": 1}


@pytest.mark.parametrize(("command", "policy"), ALLOWED.values(), ids=ALLOWED.keys())
def test_what_the_deployment_allows_is_not_refused(command: dict[str, object], policy: Policy) -> None:
    """The settings forbid nothing beside what they name."""
    assert refusal(parse_command(json.dumps(command).encode()), policy) is None


def test_without_a_word_a_deployment_is_strict() -> None:
    """Schedules' backups are left alone, no key is weaker, a sweep waits an hour; every instance may be commanded."""
    assert Policy(allow_scheduled=False, allow_weaker_key=False, cancel_after_min=timedelta(hours=1)) == STRICT


def test_every_policy_that_is_chosen_is_taken() -> None:
    """Each variable changes what it names."""
    chosen = {
        "BACKSTOP_ALLOW_SCHEDULED": "true",
        "BACKSTOP_ALLOW_WEAKER_KEY": "true",
        "BACKSTOP_CANCEL_AFTER_MIN": "6h",
        "BACKSTOP_INSTANCES": "projects/p/instances/a,projects/q/instances/*",
    }

    assert settings.read(REQUIRED | chosen).handlers.policy == Policy(
        cancel_after_min=timedelta(hours=6), instances=("projects/p/instances/a", "projects/q/instances/*")
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BACKSTOP_ALLOW_SCHEDULED", "yes"),
        ("BACKSTOP_ALLOW_WEAKER_KEY", "1"),
        ("BACKSTOP_CANCEL_AFTER_MIN", "8d"),
        ("BACKSTOP_INSTANCES", "orders"),
        ("BACKSTOP_INSTANCES", "projects/p/instances/a, projects/p/instances/b"),
        ("BACKSTOP_INSTANCES", "projects/p/instances/a,"),
    ],
)
def test_a_policy_that_is_wrong_is_named(variable: str, value: str) -> None:
    """A deployment that would allow something else than was meant never serves."""
    with pytest.raises(ValueError, match=variable) as caught:
        settings.read(REQUIRED | {variable: value})

    assert repr(value) in str(caught.value)


def test_a_command_that_waits_is_held_to_the_policy_of_the_day_it_is_carried_out() -> None:
    """What was put back before the policy was narrowed isn't carried out after it."""
    world = World()
    world.faults.plan(Fault("ListBackupOperations", Code.RESOURCE_EXHAUSTED))
    world.send(action="start", database=ORDERS)
    world.settings = replace(world.settings, policy=ELSEWHERE)

    world.look()

    assert world.outcomes == ["REJECTED"]
    assert "CreateBackup" not in world.calls


@pytest.mark.parametrize("data", [b"{}", b'{"v": 2, "kind": "look"}'], ids=["no version", "a newer version"])
def test_a_follow_up_of_an_unknown_version_waits_for_a_revision_that_knows_it(data: bytes) -> None:
    """It is refused and never acknowledged, so that going back to an older version drops no chain."""
    world = World()

    report = world.deliver(Delivery(data, {KIND_ATTRIBUTE: KIND_FOLLOW_UP}, "17", START, FOLLOW_UPS))

    assert report.retry
    assert "must be 1" in report.note
    assert world.results == []


def test_a_forged_follow_up_of_an_unknown_version_does_not_loop() -> None:
    """From another topic than the follow-ups' it is rejected, whatever its version."""
    world = World()

    report = world.deliver(Delivery(b'{"v": 2}', {KIND_ATTRIBUTE: KIND_FOLLOW_UP}, "17", START, COMMANDS))

    assert (world.outcomes, report.retry) == (["REJECTED"], False)


def test_a_refusal_carries_the_topic_of_its_command() -> None:
    """Who may publish there is all that is known of who asked."""
    world = World(settings=Settings(FOLLOW_UPS, policy=ELSEWHERE))

    world.send(action="cancel", database=ORDERS)

    assert Trigger(**{**world.results[0]["trigger"], "publish_time": START}).topic == COMMANDS
