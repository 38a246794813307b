"""Who may do what: every grant of a plan as one line, and the lines that each subject must have, and no others.

What every deployment grants is written once, in the table of the module's README.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.terraform.plans import REPOSITORY, Plan, Resource
from tests.terraform.standin.computed import project_number
from tests.terraform.subjects import SUBJECTS


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
    condition = found["condition.expression"] if found.values.get("condition") else ""
    kind, key = TARGETS[found.type]
    target = found[key]
    if kind in ("database", "instance"):
        target = "/".join([found["project"], found["instance"], *([target] if kind == "database" else [])])
    else:
        assert found.values.get("project", project) == project, f"{found.address}: another project"
    who = shortened(found["member"], project)
    return Grant(who, found["role"], f"{kind} {shortened(target, project)}", condition)


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


README = (REPOSITORY / "terraform" / "README.md").read_text()


def _listed(project: str, region: str = "europe-west1", own: Mapping[str, str] | None = None) -> list[Grant]:
    """The rows of the README's table, with a deployment's own names."""
    text = README
    for name, value in {
        **(own or {}),
        "PROJECT": project,
        "NUMBER-REGION": f"{project_number(project)}-{region}",
    }.items():
        text = text.replace(name, value)
    rows = re.findall(r"^\| (.+?) \| (\S*roles/\S+) \| (.+?)(?: where the bucket is (.+?))? \|$", text, re.MULTILINE)
    return [
        Grant(who, role, on, f'resource.name.startsWith("projects/_/buckets/{copies}")' if copies else "")
        for who, role, on, copies in rows
    ]


def _common(listed: list[Grant]) -> list[Grant]:
    """What every deployment grants, whatever it looks after."""
    return [grant for grant in listed if not grant.on.startswith("instance ")]


SHOP, OPERATIONS = "projects/example-shop/roles", "projects/example-operations/roles"
SWITCHED_NAMES = {
    "queue backstop-follow-ups": "queue looks-2",
    "PROJECT-backstop-source": "example-builds",
    "backstop-": "spanner-backup-",
    "service backstop": "service spanner-backup",
}
"""What the names of the README's table are there."""

EXPECTED: dict[str, list[Grant]] = {
    "calendar": _listed(SUBJECTS["calendar"].project),
    "fleet": [
        *_common(_listed(SUBJECTS["fleet"].project)),
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
    "minimal": _listed(SUBJECTS["minimal"].project),
    "switched": [
        *_common(_listed(SUBJECTS["switched"].project, "europe-west3", SWITCHED_NAMES)),
        Grant("spanner-backup-run", "organizations/1234/roles/spanner_backups", "instance example-locked/books"),
    ],
}
