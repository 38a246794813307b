"""The deployments that are planned and judged: two examples, one with every switch the other way, a lean one.

The lean one is the minimal example without its APIs: mistakes are planted in it, and each costs a plan.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tests.terraform.plans import Json

DIRECTORIES = ("terraform", *(f"terraform/examples/{name}" for name in ("fleet", "minimal", "notices", "teams")))
"""The module and its examples."""


class Subject(msgspec.Struct, frozen=True):
    """One deployment: the directory that is planned, and variables where it is the module itself."""

    below: str
    project: str
    may_delete: bool = True
    variables: Mapping[str, Json] | None = None


SUBJECTS: dict[str, Subject] = {
    "fleet": Subject(below="terraform/examples/fleet", project="example-operations"),
    "minimal": Subject(below="terraform/examples/minimal", project="example-project"),
    "lean": Subject(
        below="terraform",
        project="example-project",
        variables={
            "project_id": "example-project",
            "region": "europe-west1",
            "instances": {"orders": {}},
            "schedules": {"nightly": {"instance": "orders", "cron": "17 2 * * *"}},
            "enable_apis": False,
        },
    ),
    "switched": Subject(
        below="terraform",
        project="example-locked",
        may_delete=False,
        variables={
            "project_id": "example-locked",
            "region": "europe-west3",
            "prefix": "spanner-backup",
            "instances": {"books": {"role": "organizations/1234/roles/spanner_backups"}},
            "schedules": {"yearly": {"instance": "books", "database": "archive", "cron": "0 3 1 1 *"}},
            "allow_delete": False,
            "allow_scheduled": True,
            "allow_weaker_key": True,
            "cancel_after_min": "12h",
            "binary_authorization_policy": "projects/example-locked/platforms/cloudRun/policies/bank",
            "kms_keys": {
                "function": "projects/example-keys/locations/europe-west3/keyRings/backstop/cryptoKeys/functions",
                "topics": "projects/example-keys/locations/europe-west3/keyRings/backstop/cryptoKeys/topics",
            },
            "message_regions": ["europe-west3"],
            "vpc_connector": {
                "name": "projects/example-locked/locations/europe-west3/connectors/inside",
                "egress": "ALL_TRAFFIC",
            },
            "worker_pool": "projects/example-locked/locations/europe-west3/workerPools/private",
            "labels": {"team": "databases"},
            "dashboard": False,
            "enable_apis": False,
            "source_archive": {"bucket": "example-builds", "object": "backstop-1.zip"},
            "docker_repository": "projects/example-locked/locations/europe-west3/repositories/images",
            "queue_name": "looks-2",
            "scheduler_region": "europe-west1",
            "alerts": {"disabled": ["queue-growing"]},
            "deletion_channels": ["projects/example-locked/notificationChannels/1111"],
            "notification_channels": ["projects/example-locked/notificationChannels/1234"],
        },
    ),
}
