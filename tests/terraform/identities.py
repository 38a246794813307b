"""The deployment as a graph of identities: who calls what with which permission, and what gives it.

Each link is one call of a first apply, start, cancel, deletion or alarm. It holds if a grant of the plan gives the
permission
on the thing that is called, if the grant is made before the step and waited for, and if whoever is granted it exists by
then. What Google gives its own agents isn't the module's to grant: those links only name their source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.terraform.grants import AGENTS, Grant, grants, is_grant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.terraform.plans import Plan, Workspace

FUNCTION, WAIT_BUILD, WAIT_MESSAGES = (
    "google_cloudfunctions2_function.function",
    "time_sleep.build_grants",
    "time_sleep.message_grants",
)
START, SWEEP = "google_cloud_scheduler_job.start", "google_cloud_scheduler_job.sweep"
AGENT = "google_project_service_identity.agent"


@dataclass(frozen=True, slots=True)
class Link:
    """One call.

    Attributes:
        who: The identity, as the table of grants names it.
        permission: What it needs.
        on: On what, as the table of grants names it.
        does: What it does with it.
        source: The page or the issue that says so.
        wait: What waits for the grant, before the step that needs it.
        step: The resource with which the step becomes possible.
    """

    who: str
    permission: str
    on: str
    does: str
    source: str
    wait: str = WAIT_MESSAGES
    step: str = START


GIVES: Mapping[str, set[str]] = {
    "roles/artifactregistry.writer": {"artifactregistry.repositories.uploadArtifacts"},
    "roles/cloudtasks.enqueuer": {"cloudtasks.tasks.create"},
    "roles/iam.serviceAccountTokenCreator": {
        "iam.serviceAccounts.getAccessToken",
        "iam.serviceAccounts.getOpenIdToken",
    },
    "roles/iam.serviceAccountUser": {"iam.serviceAccounts.actAs"},
    "roles/logging.logWriter": {"logging.logEntries.create"},
    "roles/pubsub.publisher": {"pubsub.topics.publish"},
    "roles/pubsub.subscriber": {"pubsub.subscriptions.consume"},
    "roles/run.invoker": {"run.routes.invoke"},
    "roles/storage.objectViewer": {"storage.objects.get"},
}
"""What the predefined roles give, as far as it is needed here; the module's own roles say it themselves.

https://docs.cloud.google.com/iam/docs/roles-permissions (documented)
"""

_DOCS = "https://docs.cloud.google.com"
BUILD_DOCS = f"{_DOCS}/functions/docs/securing/build-custom-sa"
PUSH_DOCS = f"{_DOCS}/pubsub/docs/authenticate-push-subscriptions"
LETTER_DOCS = f"{_DOCS}/pubsub/docs/handling-failures"
TASK_DOCS = f"{_DOCS}/tasks/docs/creating-http-target-tasks"
SPANNER_DOCS = f"{_DOCS}/spanner/docs/iam"
PUBSUB, TASKS, SCHEDULER = AGENTS["pubsub"], AGENTS["cloudtasks"], AGENTS["cloudscheduler"]
RUN, PUSH, BUILD, TASK = "backstop-run", "backstop-push", "backstop-build", "backstop-tasks"
INSTANCE = "instance example-project/orders"


def _spanner(permission: str, does: str) -> Link:
    return Link(RUN, f"spanner.{permission}", INSTANCE, does, SPANNER_DOCS)


LINKS: tuple[Link, ...] = (
    # The first apply.
    Link(
        BUILD,
        "storage.objects.get",
        "project example-project",
        "reads the copy of the source that Cloud Functions made",
        "https://github.com/hashicorp/terraform-provider-google/issues/20571",
        WAIT_BUILD,
        FUNCTION,
    ),
    Link(
        BUILD,
        "storage.objects.get",
        "bucket example-project-backstop-source",
        "reads the archive",
        BUILD_DOCS,
        WAIT_BUILD,
        FUNCTION,
    ),
    Link(
        BUILD,
        "artifactregistry.repositories.uploadArtifacts",
        "project example-project",
        "writes the image",
        BUILD_DOCS,
        WAIT_BUILD,
        FUNCTION,
    ),
    Link(
        BUILD,
        "logging.logEntries.create",
        "project example-project",
        "writes its log",
        BUILD_DOCS,
        WAIT_BUILD,
        FUNCTION,
    ),
    # A first start.
    Link(
        SCHEDULER,
        "pubsub.topics.publish",
        "topic backstop-commands",
        "publishes a command",
        f"{_DOCS}/iam/docs/roles-permissions/cloudscheduler",
    ),
    Link(PUBSUB, "iam.serviceAccounts.getOpenIdToken", "account backstop-push", "signs a push", PUSH_DOCS),
    Link(PUSH, "run.routes.invoke", "service backstop", "calls the function", PUSH_DOCS),
    _spanner("databases.list", "lists the databases"),
    _spanner("backups.create", "starts a backup"),
    _spanner("databases.createBackup", "takes a database as its source"),
    _spanner("backupOperations.list", "lists operations"),
    Link(RUN, "cloudtasks.tasks.create", "queue backstop-follow-ups", "makes a task", TASK_DOCS),
    Link(RUN, "iam.serviceAccounts.actAs", "account backstop-tasks", "puts the tasks account into it", TASK_DOCS),
    Link(
        RUN,
        "pubsub.topics.publish",
        "topic backstop-results",
        "tells an outcome",
        f"{_DOCS}/pubsub/docs/access-control",
    ),
    # A follow-up.
    Link(TASKS, "iam.serviceAccounts.getAccessToken", "account backstop-tasks", "signs a task", TASK_DOCS),
    Link(
        TASK,
        "pubsub.topics.publish",
        "topic backstop-follow-ups",
        "publishes a follow-up when it is due",
        f"{_DOCS}/pubsub/docs/access-control",
    ),
    _spanner("backupOperations.get", "looks at an operation"),
    _spanner("backups.get", "looks at a backup"),
    _spanner("backups.list", "lists backups"),
    # A cancel, and a deletion.
    _spanner("backupOperations.cancel", "stops a backup"),
    _spanner("backups.delete", "deletes a backup"),
    _spanner("backups.update", "shortens the life of one that can't be deleted"),
    # An alarm: dead letters are moved by Pub/Sub itself; what the alerts read, Google writes (below).
    Link(PUBSUB, "pubsub.topics.publish", "topic backstop-dead-letters", "moves a dead letter", LETTER_DOCS),
    Link(
        PUBSUB,
        "pubsub.subscriptions.consume",
        "subscription backstop-commands-push",
        "counts a command's deliveries",
        LETTER_DOCS,
    ),
    Link(
        PUBSUB,
        "pubsub.subscriptions.consume",
        "subscription backstop-follow-ups-push",
        "counts a follow-up's deliveries",
        LETTER_DOCS,
    ),
)

BY_GOOGLE: Mapping[str, str] = {
    "Cloud Functions' agent copies the archive, starts the build as the build account and makes the service": (
        f"{_DOCS}/iam/docs/roles-permissions/cloudfunctions"
    ),
    "Cloud Build's agent acts as the build account": f"{_DOCS}/build/docs/cloud-build-service-account",
    "Cloud Run writes what the function prints, and each request, to the log": f"{_DOCS}/run/docs/logging",
    "Cloud Logging counts lines; Cloud Monitoring evaluates alerts and notifies channels": (
        f"{_DOCS}/logging/docs/logs-based-metrics"
    ),
}
"""Steps that need no grant of ours: Google gives its agents these rights when the API is enabled."""


@dataclass
class Graph:
    """What a deployment grants, and in which order it is made.

    Attributes:
        grants: For each grant the resource that makes it.
        permissions: What the module's own roles give.
        needs: For each resource those that are made before it.
    """

    grants: list[tuple[Grant, str]]
    permissions: dict[str, set[str]]
    needs: dict[str, set[str]]

    @classmethod
    def of(cls, plan: Plan, workspace: Workspace, below: str, project: str) -> Graph:
        """Reads a plan, and what `terraform graph` says of the same directory."""
        made = [found for found in plan.resources if is_grant(found)]
        by_grant = [(grants(plan, project, [found])[0], f"{found.type}.{found.name}") for found in made]
        roles = {
            f"projects/{role.text('project')}/roles/{role.text('role_id')}": set(
                map(str, _list(role.get("permissions")))
            )
            for role in plan.all("google_project_iam_custom_role")
        }
        needs: dict[str, set[str]] = {}
        for before, after in re.findall(r'"([^"]+)" -> "([^"]+)"', workspace.run("graph", below=below).stdout):
            needs.setdefault(before, set()).add(after)
        return cls(by_grant, {**GIVES, **roles}, needs)

    def problems(self) -> Iterator[str]:
        """What is missing, link by link; nothing if every step can be taken."""
        for link in LINKS:
            giving = [
                resource
                for grant, resource in self.grants
                if (grant.who, grant.on) == (link.who, link.on)
                and link.permission in self.permissions.get(grant.role, set())
            ]
            what = f"{link.who} {link.does}"
            if not giving:
                yield f"{what}: nothing gives {link.permission} on {link.on}"
                continue
            if not any(self._before(resource, link.wait) for resource in giving):
                yield f"{what}: {link.wait} doesn't wait for {giving}"
            if not self._before(link.wait, link.step):
                yield f"{what}: {link.step} doesn't wait for {link.wait}"
            if link.who in AGENTS.values() and not any(self._before(AGENT, resource) for resource in giving):
                yield f"{what}: the agent may not exist when it is granted something"
        if not self._before(WAIT_MESSAGES, SWEEP):
            yield f"the first sweep: {SWEEP} doesn't wait for {WAIT_MESSAGES}"

    def _before(self, first: str, then: str) -> bool:
        """Whether one resource is made before another."""
        seen: set[str] = set()
        left = [then]
        while left:
            here = left.pop()
            if here == first:
                return True
            if here not in seen:
                seen.add(here)
                left.extend(self.needs.get(here, ()))
        return False


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value
