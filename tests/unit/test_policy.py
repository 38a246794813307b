"""What no command may ask for, as the deployment says; and what each setting is when nobody says anything."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from backstop.gcp import settings
from backstop.policy import refusal
from backstop.ports import Settings
from backstop.wire import parse_command
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from tests.unit.handlers_world import FOLLOW_UPS, INSTANCE, NIGHTLY, ORDERS, World
from tests.unit.said import of_command

REQUIRED = {
    "BACKSTOP_FOLLOW_UPS_TOPIC": FOLLOW_UPS,
    "BACKSTOP_TASKS_QUEUE": "projects/demo-project/locations/europe-west1/queues/backstop",
    "BACKSTOP_TASKS_SERVICE_ACCOUNT": "backstop-tasks@demo-project.iam.gserviceaccount.com",
}
STRICT = settings.read(REQUIRED).handlers
LAX = Settings(FOLLOW_UPS)
ELSEWHERE = replace(LAX, instances=("projects/demo-project/instances/other", "projects/demo-project/instances/team-*"))
HERE = replace(LAX, instances=("projects/x/instances/y", "projects/demo-project/instances/m*"))

SCHEDULED = "BACKSTOP_ALLOW_SCHEDULED is false: what native schedules made is left alone here."
TOO_SHORT = "BACKSTOP_CANCEL_AFTER_MIN is 1h: a sweep may ask for no less."
TOO_LONG = "BACKSTOP_GIVE_UP_AFTER is 3d: after that nobody is there to cancel."
NOT_HERE = f"{INSTANCE} is none of the instances in BACKSTOP_INSTANCES."
WEAKER = "BACKSTOP_ALLOW_WEAKER_KEY is false: leave the encryption out to have the database's own."
OPERATION = f"{NIGHTLY}/operations/_auto_op_1"
START_ONE: dict[str, object] = {"action": "start", "database": ORDERS}
CANCEL: dict[str, object] = {"action": "cancel", "backup": NIGHTLY}
SWEEP: dict[str, object] = {"action": "sweep", "instance": INSTANCE}
OWN_KEY = {"type": "CUSTOMER_MANAGED_ENCRYPTION", "kms_key_names": ["projects/p/k"]}
GOOGLE_S = START_ONE | {"encryption": {"type": "GOOGLE_DEFAULT_ENCRYPTION"}}


@pytest.mark.parametrize(
    ("command", "allowed", "field", "why"),
    [
        ({"action": "cancel", "database": ORDERS, "include_scheduled": True}, STRICT, "include_scheduled", SCHEDULED),
        ({"action": "follow", "database": ORDERS, "include_scheduled": True}, STRICT, "include_scheduled", SCHEDULED),
        (SWEEP | {"include_scheduled": True, "dry_run": True}, STRICT, "include_scheduled", SCHEDULED),
        (SWEEP | {"cancel_after": "0s"}, STRICT, "cancel_after", TOO_SHORT),
        (SWEEP | {"cancel_after": "59m59s"}, STRICT, "cancel_after", TOO_SHORT),
        (START_ONE | {"cancel_after": "3d1s"}, STRICT, "cancel_after", TOO_LONG),
        ({"action": "follow", "database": ORDERS, "cancel_after": "7d"}, STRICT, "cancel_after", TOO_LONG),
        (GOOGLE_S, STRICT, "encryption.type", WEAKER),
        (START_ONE, ELSEWHERE, "database", NOT_HERE),
        ({"action": "start", "instance": INSTANCE}, ELSEWHERE, "instance", NOT_HERE),
        (CANCEL, ELSEWHERE, "backup", NOT_HERE),
        ({"action": "follow", "operation": OPERATION}, ELSEWHERE, "operation", NOT_HERE),
    ],
)
def test_what_the_deployment_forbids_is_refused_by_the_name_of_the_setting(
    command: dict[str, object], allowed: Settings, field: str, why: str
) -> None:
    """One REJECTED, with the field and the setting, and not one call to Spanner."""
    world = World(settings=allowed)

    report = world.send(**command)

    targets = {name: command[name] for name in ("operation", "backup", "database") if name in command}
    (subject,) = targets.values() or (INSTANCE,)
    rejected = of_command(world, "REJECTED", f"Refused: {why}", str(subject), field=field, **targets)
    assert world.results == [rejected]
    assert (world.calls, report.retry) == ({"Publish": 1}, False)


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        (SWEEP | {"cancel_after": "1h"}, STRICT),
        (SWEEP, STRICT),
        (START_ONE | {"cancel_after": "0s"}, STRICT),
        (START_ONE | {"cancel_after": "3d"}, STRICT),
        (START_ONE | {"encryption": {"type": "USE_DATABASE_ENCRYPTION"}}, STRICT),
        (START_ONE | {"encryption": OWN_KEY}, STRICT),
        (GOOGLE_S, LAX),
        (CANCEL, replace(LAX, instances=(INSTANCE,))),
        (SWEEP, HERE),
    ],
)
def test_what_the_deployment_allows_is_not_refused(command: dict[str, object], allowed: Settings) -> None:
    """The settings forbid nothing beside what they name."""
    assert refusal(parse_command(json.dumps(command).encode()), allowed) is None


def test_a_command_that_waits_is_held_to_the_policy_of_the_day_it_is_carried_out() -> None:
    """What was retried before the policy was narrowed isn't carried out after it."""
    world = World()
    world.faults.plan(Fault("ListBackupOperations", Code.RESOURCE_EXHAUSTED))
    world.send(**START_ONE)
    world.settings = ELSEWHERE

    world.look()

    assert world.outcomes == ["REJECTED"]
    assert "CreateBackup" not in world.calls
