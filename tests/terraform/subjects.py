"""The deployments that are planned: those that every fact is asked about, and some that a test or two read."""

from __future__ import annotations

from collections.abc import Mapping

from tests.terraform.plans import REPOSITORY, Json
from tests.terraform.quarters import SCHEDULES

PROJECT = "example-project"
BARE: dict[str, Json] = {"project_id": PROJECT, "region": "europe-west1", "instances": {"orders": {}}}
"""What the module can't do without."""

LOCKED = "projects/example-locked"
REGION = f"{LOCKED}/locations/europe-west3"
KEYS = "projects/example-keys/locations/europe-west3/keyRings/backstop/cryptoKeys"

# A schedule of each kind.
CALENDAR: dict[str, Json] = {
    **BARE,
    "schedules": {name: {"instance": "orders", **it.told} for name, it in SCHEDULES.items()},
    "enable_apis": False,
    "vpc_direct": {"network": "shared", "subnetwork": "functions", "tags": ["spanner"]},
}

# Every switch the other way.
SWITCHED: dict[str, Json] = {
    "project_id": "example-locked",
    "region": "europe-west3",
    "prefix": "spanner-backup",
    "instances": {"books": {"role": "organizations/1234/roles/spanner_backups"}},
    "schedules": {"yearly": {"instance": "books", "database": "archive", "cron": "0 3 1 1 *"}},
    "allow_delete": False,
    "allow_scheduled": True,
    "allow_weaker_key": True,
    "cancel_after_min": "12h",
    "binary_authorization_policy": f"{LOCKED}/platforms/cloudRun/policies/bank",
    "kms_keys": {"function": f"{KEYS}/functions", "topics": f"{KEYS}/topics"},
    "message_regions": ["europe-west3"],
    "vpc_connector": {"name": f"{REGION}/connectors/inside", "egress": "ALL_TRAFFIC"},
    "worker_pool": f"{REGION}/workerPools/private",
    "labels": {"team": "databases"},
    "dashboard": False,
    "enable_apis": False,
    "source_archive": {"bucket": "example-builds", "object": "backstop-1.zip"},
    "docker_repository": f"{REGION}/repositories/images",
    "queue_name": "looks-2",
    "scheduler_region": "europe-west1",
    "alerts": {"disabled": ["queue-growing"]},
    "deletion_channels": [f"{LOCKED}/notificationChannels/1111"],
    "notification_channels": [f"{LOCKED}/notificationChannels/1234"],
}

ENDS: Mapping[str, Mapping[str, Json]] = {
    "high": {
        "ack_deadline_s": 600,
        "timeout_s": 540,
        "retention": "366d",
        "give_up_after": "7d",
        "look_min": "1h",
        "looks_per_second": 1.5,
        "prefix": "a-prefix-of-20-chars",
        "dead_letter_after": 100,
        "schedules": {
            "now": {
                "instance": "orders",
                "cron": "17 2 * * *",
                "retention": "6h",
                "start_within": "31d",
                "if_created": "keep",
                "cancel_after": "0s",
            }
        },
        "sweeps": {"orders": {"cancel_after": "7d", "if_created": "delete", "include_scheduled": True}},
        "allow_scheduled": True,
        "cancel_after_min": "7d",
        "grants_wait_s": 900,
        "binary_authorization_policy": "default",
    },
    "low": {
        "ack_deadline_s": 61,
        "timeout_s": 60,
        "retention": "6h",
        "give_up_after": "1h",
        "look_max": "10s",
        "prefix": "abc",
        "cancel_after_min": "0s",
        "grants_wait_s": 0,
    },
}
"""The last values that the checks of variables let through."""

EXAMPLES = sorted(path.name for path in (REPOSITORY / "terraform" / "examples").iterdir())

PLANNED: Mapping[str, tuple[str, dict[str, Json] | None]] = {
    **{name: (f"terraform/examples/{name}", None) for name in EXAMPLES},
    "calendar": ("terraform", CALENDAR),
    "switched": ("terraform", SWITCHED),
    **{name: ("terraform", {**BARE, **ends}) for name, ends in ENDS.items()},
}
"""The directory and the variables of all that is planned."""

SUBJECTS = ("fleet", "minimal", "calendar", "switched")
"""Those that every fact must hold of."""
