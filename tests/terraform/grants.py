"""Who may do what: every grant of a plan as one line, and the lines that each subject must have, and no others.

What every deployment grants is written once, in the table of the module's README.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.terraform.plans import REPOSITORY, Plan, Resource
from tests.terraform.standin.computed import project_number


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


def project_of(plan: Plan) -> str:
    """The project that a plan deploys to."""
    return str(plan.one("google_service_account", "runtime")["project"])


def granting(plan: Plan) -> list[tuple[Grant, Resource]]:
    """Every grant that the plan makes, with the module's own names shortened, and the resource that makes it."""
    made = [it for it in plan.resources if "_iam_" in it.type and it.type != "google_project_iam_custom_role"]
    return [(_grant(found, project_of(plan)), found) for found in made]


def grants(plan: Plan) -> list[Grant]:
    """Every grant that the plan makes."""
    return sorted(grant for grant, _ in granting(plan))


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

SHOP, OPERATIONS = "projects/example-shop/roles", "projects/example-operations/roles"
NAMES: Mapping[str, Mapping[str, str]] = {
    "switched": {
        "queue backstop-follow-ups": "queue looks-2",
        "PROJECT-backstop-source": "example-builds",
        "backstop-": "spanner-backup-",
        "service backstop": "service spanner-backup",
    }
}
"""What the names of the README's table are there."""

MORE: Mapping[str, Sequence[Grant]] = {
    "fleet": [
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
    "switched": [
        Grant("spanner-backup-run", "organizations/1234/roles/spanner_backups", "instance example-locked/books")
    ],
}
"""What a deployment grants on its instances, and to its publishers, where that isn't as in the README's table."""


def expected(subject: str, project: str, region: str) -> list[Grant]:
    """The rows of the README's table with a deployment's own names, and what it grants besides."""
    text, copies = README, f"{project_number(project)}-{region}"
    for name, value in {**NAMES.get(subject, {}), "PROJECT": project, "NUMBER-REGION": copies}.items():
        text = text.replace(name, value)
    rows = re.findall(r"^\| (.+?) \| (\S*roles/\S+) \| (.+?)(?: where the bucket is (.+?))? \|$", text, re.MULTILINE)
    listed = [
        Grant(who, role, on, f'resource.name.startsWith("projects/_/buckets/{copies}")' if copies else "")
        for who, role, on, copies in rows
    ]
    own = subject in MORE
    return sorted([*MORE.get(subject, ()), *(it for it in listed if not (own and it.on.startswith("instance ")))])
