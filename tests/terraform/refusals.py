"""For every check of the module, a value that breaks it, and part of what the check then says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.terraform.plans import Json

NIGHTLY: dict[str, Json] = {"instance": "orders", "cron": "17 2 * * *"}
KEY = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
CONNECTOR: dict[str, Json] = {"name": "projects/p/locations/l/connectors/c"}

ONE: Sequence[tuple[str, Sequence[Json], str]] = (
    ("ack_deadline_s", (9, 601), "10 to 600"),
    ("alerts.disabled", (["all"],), "alerts.disabled may name"),
    ("alerts.oldest_message_s", (30,), "alerts.oldest_message_s must be"),
    ("alerts.queue_depth", (0,), "alerts.queue_depth must be"),
    ("binary_authorization_policy", ("my-policy",), "binary_authorization_policy must be"),
    ("cancel_after_min", ("8d", "an hour"), "cancel_after_min must be"),
    ("concurrency", (81,), "concurrency must be"),
    ("dead_letter_after", (4, 101), "5 to 100"),
    ("deletion_channels", (["audit@example.com"],), "deletion_channels must look like"),
    ("docker_repository", ("europe-docker.pkg.dev/p/r",), "docker_repository must look like"),
    ("give_up_after", ("30m", "8d", "3 days"), "give_up_after must be"),
    ("grants_wait_s", (901,), "grants_wait_s must be"),
    ("instances", ({},), "at least one instance"),
    ("instances.Orders.name", ("orders",), "The keys of instances"),
    ("instances.orders.name", ("projects/p/instances/orders",), "instances[*].name"),
    ("instances.orders.project", ("123456789012",), "instances[*].project"),
    ("instances.orders.databases", (["orders-*"],), "instances[*].databases"),
    ("instances.orders.role", ("backupAdmin",), "instances[*].role must be"),
    ("instances.orders", ({"databases": ["orders"], "role": "roles/r"},), "role or databases, not both"),
    ("kms_keys.topics", (f"{KEY}/cryptoKeyVersions/1",), "kms_keys must look"),
    ("labels", ({"Team": "databases"}, {"team": "The databases"}), "labels must have keys"),
    ("look_max", ("61m", ""), "look_max must be"),
    ("look_min", ("9s",), "look_min must be"),
    ("looks_per_second", (1.6, 0), "looks_per_second must be"),
    ("max_instances", (21,), "max_instances must be"),
    ("memory", ("128Mi",), "memory must be"),
    ("message_regions", (["europe"],), "message_regions must be"),
    ("message_retention_s", (2678401,), "message_retention_s must be"),
    ("notification_channels", (["oncall@example.com"],), "notification_channels must look like"),
    ("prefix", ("Backstop", "a-prefix-that-is-far-too-long"), "prefix must be"),
    ("project_id", ("123456789012",), "project_id must be"),
    ("publishers", (["allUsers"], ["someone@example.com"]), "publishers must be"),
    ("queue_name", ("follow_ups",), "queue_name must be"),
    ("region", ("europe-west1-b",), "region must be"),
    ("retention", ("5h59m", "367d"), "retention must be"),
    ("role_id", ("spanner-backups",), "role_id must be"),
    ("runtime", ("python310",), "runtime must be"),
    ("scheduler_region", ("eu",), "scheduler_region must be"),
    ("schedules.Nightly", (NIGHTLY,), "The keys of schedules"),
    ("schedules.nightly.database", ("orders-*",), "schedules[*].database must be one database id"),
    ("schedules.nightly", ({"database": "orders", "databases": ["orders"]},), "database (one) or databases"),
    ("schedules.nightly.databases", ([], ["Orders"]), "schedules[*].databases must be"),
    ("schedules.nightly.cron", ("every night", "0 2 * *"), "schedules[*].cron must"),
    ("schedules.nightly.time_zone", ("CET+1",), "schedules[*].time_zone must"),
    ("schedules.nightly.retention", ("1h",), "schedules[*].retention must"),
    ("schedules.nightly.cancel_after", ("8d", ""), "schedules[*].cancel_after must"),
    ("schedules.nightly.start_within", ("0s",), "schedules[*].start_within must"),
    ("schedules.nightly.if_created", ("remove",), "schedules[*].if_created must"),
    ("schedules.nightly.alert_after_h", (8785, 1.5), "schedules[*].alert_after_h must"),
    ("sweeps.orders.cron", ("hourly",), "sweeps[*].cron must"),
    ("sweeps.orders.cancel_after", ("30m",), "sweeps[*].cancel_after must"),
    ("sweeps.orders.if_created", ("remove",), "sweeps[*].if_created must"),
    ("sweeps.orders.time_zone", ("local",), "sweeps[*].time_zone must"),
    ("timeout_s", (541, 59), "timeout_s must be"),
    ("vpc_connector.name", ("connector",), "vpc_connector.name must look"),
    ("vpc_connector.egress", ("ALL_TRAFFIC",), "vpc_connector.egress must be"),
    ("vpc_direct.network", ("networks/shared",), "vpc_direct.network and"),
    ("vpc_direct", ({"network": "n", "egress": "ALL"}, {"tags": ["spanner"]}), "vpc_direct.egress must be"),
    ("worker_pool", ("pool",), "worker_pool must look"),
)
"""Values just outside where a check is a range, and the mistake people make where it is a form."""

SEVERAL: Sequence[tuple[dict[str, Json], str]] = (
    ({"schedules": {"nightly": {**NIGHTLY, "instance": "users"}}}, "schedules[*].instance must be"),
    ({"sweeps": {"users": {}}}, "The keys of sweeps"),
    ({"vpc_direct": {"network": "shared"}, "vpc_connector": CONNECTOR}, "exclude each other"),
    (
        {
            "instances": {"orders": {"databases": ["orders"]}},
            "schedules": {"nightly": {**NIGHTLY, "database": "users"}},
        },
        "must be one of its instance's databases",
    ),
    ({"ack_deadline_s": 120, "timeout_s": 120}, "must be above timeout_s (120)"),
    ({"look_min": "5m", "look_max": "1m"}, "must not be shorter than look_min"),
    ({"cancel_after_min": "25h"}, "must not be shorter than cancel_after_min (25h)"),
    ({"sweeps": {"orders": {"include_scheduled": True}}}, "include_scheduled needs allow_scheduled"),
    ({"kms_keys": {"function": KEY}}, "kms_keys.function needs docker_repository"),
)
"""What only several variables together can break; it takes a plan to find it."""


def _given(path: str, value: Json) -> dict[str, Json]:
    given = value
    for step in reversed(path.split(".")):
        given = {step: {**NIGHTLY, **given} if step == "nightly" and isinstance(given, dict) else given}
    assert isinstance(given, dict)
    return given


REFUSED: Sequence[tuple[dict[str, Json], str]] = (
    *((_given(path, value), message) for path, values, message in ONE for value in values),
    *SEVERAL,
)
"""All of them: the variables, and words from the message."""

BY_A_MISTAKE: Mapping[str, dict[str, Json]] = {
    "a message may be pushed again too soon": {"ack_deadline_s": 120, "timeout_s": 120},
    "everybody may be a publisher": {"publishers": ["allUsers"]},
    "a retention below Spanner's is let through": {"retention": "5h59m"},
    "a sweep of nobody's instance is let through": {"sweeps": {"users": {}}},
}
"""What a planted mistake lets through, of the above."""
