"""Who may do what: every grant of a plan as one line, and the lines that each subject must have, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.terraform.standin.computed import project_number
from tests.terraform.subjects import SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.terraform.plans import Plan, Resource


class Grant(NamedTuple):
    """One line of the table; the condition, where there is one, in IAM's own words."""

    who: str
    role: str
    on: str
    condition: str = ""


AGENTS = {"cloudscheduler": "Scheduler's agent", "cloudtasks": "Tasks' agent", "pubsub": "Pub/Sub's agent"}
"""Google's own identities in the project.

https://docs.cloud.google.com/iam/docs/service-agents (documented)
"""


TARGETS = {
    "google_cloud_run_service_iam_member": ("service", "service"),
    "google_cloud_tasks_queue_iam_member": ("queue", "name"),
    "google_project_iam_member": ("project", "project"),
    "google_pubsub_subscription_iam_member": ("subscription", "subscription"),
    "google_pubsub_topic_iam_member": ("topic", "topic"),
    "google_service_account_iam_member": ("account", "service_account_id"),
    "google_spanner_database_iam_member": ("database", "database"),
    "google_spanner_instance_iam_member": ("instance", "instance"),
    "google_storage_bucket_iam_member": ("bucket", "bucket"),
}
"""What a grant of each type is bound to. Every other type that ends in _iam_… is refused: `_binding` and `_policy`
would take away what others were granted."""


def grants(plan: Plan, project: str, among: Sequence[Resource] | None = None) -> list[Grant]:
    """Every grant that the plan makes, or these of its resources do, with the module's own names shortened."""
    made = plan.resources if among is None else among
    return sorted(_grant(found, project) for found in made if is_grant(found))


def is_grant(found: Resource) -> bool:
    """Whether a resource grants something."""
    return "_iam_" in found.type and found.type != "google_project_iam_custom_role"


def _grant(found: Resource, project: str) -> Grant:
    assert found.type in TARGETS, f"{found.address}: nobody knows what {found.type} is bound to"
    condition = found.text("condition", 0, "expression") if found.get("condition") else ""
    kind, key = TARGETS[found.type]
    target = found.text(key)
    if kind in ("database", "instance"):
        target = "/".join([found.text("project"), found.text("instance"), *([target] if kind == "database" else [])])
    else:
        assert found.values.get("project", project) == project, f"{found.address}: another project"
    who = shortened(found.text("member"), project)
    return Grant(who, found.text("role"), f"{kind} {shortened(target, project)}", condition)


def shortened(name: str, project: str) -> str:
    """A member or a resource with the module's own names as people say them."""
    number = project_number(project)
    for long, short in (
        *((f"serviceAccount:service-{number}@gcp-sa-{api}.iam.gserviceaccount.com", it) for api, it in AGENTS.items()),
        (f"projects/{project}/serviceAccounts/", ""),
        (f"@{project}.iam.gserviceaccount.com", ""),
        ("serviceAccount:", ""),
    ):
        name = name.replace(long, short)
    return name


def _common(prefix: str, queue: str, bucket: str, project: str, region: str = "europe-west1") -> list[Grant]:
    """What every deployment grants, whatever it looks after."""
    agent, run = "Pub/Sub's agent", f"{prefix}-run"
    copies = f'resource.name.startsWith("projects/_/buckets/gcf-v2-sources-{project_number(project)}-{region}")'
    return [
        Grant(f"{prefix}-build", "roles/artifactregistry.writer", f"project {project}"),
        Grant(f"{prefix}-build", "roles/logging.logWriter", f"project {project}"),
        Grant(f"{prefix}-build", "roles/storage.objectViewer", f"bucket {bucket}"),
        Grant(f"{prefix}-build", "roles/storage.objectViewer", f"project {project}", copies),
        Grant(f"{prefix}-push", "roles/run.invoker", f"service {prefix}"),
        Grant(f"{prefix}-tasks", "roles/pubsub.publisher", f"topic {prefix}-follow-ups"),
        Grant(agent, "roles/iam.serviceAccountTokenCreator", f"account {prefix}-push"),
        Grant(agent, "roles/pubsub.publisher", f"topic {prefix}-dead-letters"),
        Grant(agent, "roles/pubsub.subscriber", f"subscription {prefix}-commands-push"),
        Grant(agent, "roles/pubsub.subscriber", f"subscription {prefix}-follow-ups-push"),
        Grant("Scheduler's agent", "roles/pubsub.publisher", f"topic {prefix}-commands"),
        Grant("Tasks' agent", "roles/iam.serviceAccountTokenCreator", f"account {prefix}-tasks"),
        Grant(run, "roles/cloudtasks.enqueuer", f"queue {queue}"),
        Grant(run, "roles/iam.serviceAccountUser", f"account {prefix}-tasks"),
        Grant(run, "roles/pubsub.publisher", f"topic {prefix}-results"),
    ]


def _backstop(project: str) -> list[Grant]:
    return _common("backstop", "backstop-follow-ups", f"{project}-backstop-source", project)


SHOP, OPERATIONS = "projects/example-shop/roles", "projects/example-operations/roles"

_MINIMAL = [
    *_backstop(SUBJECTS["minimal"].project),
    Grant("backstop-run", "projects/example-project/roles/backstop_instance", "instance example-project/orders"),
    Grant("backstop-run", "projects/example-project/roles/backstop_database", "instance example-project/orders"),
]

EXPECTED: dict[str, list[Grant]] = {
    "calendar": _MINIMAL,
    "fleet": [
        *_backstop(SUBJECTS["fleet"].project),
        Grant("group:database-team@example.com", "roles/pubsub.publisher", "topic backstop-commands"),
        Grant("ci@example-shop.iam.gserviceaccount.com", "roles/pubsub.publisher", "topic backstop-commands"),
        Grant("backstop-run", f"{SHOP}/backstop_instance", "instance example-shop/orders"),
        Grant("backstop-run", f"{SHOP}/backstop_database", "instance example-shop/orders"),
        Grant("backstop-run", f"{SHOP}/backstop_instance", "instance example-shop/customers-eu"),
        Grant("backstop-run", f"{SHOP}/backstop_database", "database example-shop/customers-eu/accounts"),
        Grant("backstop-run", f"{SHOP}/backstop_database", "database example-shop/customers-eu/consents"),
        Grant("backstop-run", f"{OPERATIONS}/backstop_instance", "instance example-operations/ledger"),
        Grant("backstop-run", f"{OPERATIONS}/backstop_database", "instance example-operations/ledger"),
    ],
    "minimal": _MINIMAL,
    "switched": [
        *_common("spanner-backup", "looks-2", "example-builds", SUBJECTS["switched"].project, "europe-west3"),
        Grant("spanner-backup-run", "organizations/1234/roles/spanner_backups", "instance example-locked/books"),
    ],
}
