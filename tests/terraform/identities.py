"""The deployment as a graph of identities: who calls what with which permission, and what gives it.

Each link is one call of a first apply, start, cancel, deletion or alarm: a row of the reviewers' page. It holds if a
grant of the plan gives the permission on the thing that is called, if the grant is made before the step and waited for,
and if whoever is granted it exists by then. What Google gives its own agents isn't the module's: the page names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tests.terraform.grants import AGENTS, Grant, grants, is_grant
from tests.terraform.plans import REPOSITORY, Plan, Workspace
from tests.terraform.subjects import Subject

FUNCTION, WAIT_BUILD, WAIT_MESSAGES = (
    "google_cloudfunctions2_function.function",
    "time_sleep.build_grants",
    "time_sleep.message_grants",
)
START, SWEEP = "google_cloud_scheduler_job.start", "google_cloud_scheduler_job.sweep"
AGENT = "google_project_service_identity.agent"


class Link(NamedTuple):
    """One call: who does what with which permission on what, and the page or the issue that says so."""

    who: str
    does: str
    permission: str
    on: str
    source: str

    @property
    def wait(self) -> str:
        """What waits for the grant."""
        return WAIT_BUILD if self.who == "backstop-build" else WAIT_MESSAGES

    @property
    def step(self) -> str:
        """The resource with which the call becomes possible."""
        return FUNCTION if self.who == "backstop-build" else START


LINKS = tuple(
    Link(*(cell.replace("PROJECT", "example-project") for cell in row))
    for row in re.findall(
        r"^\| (.+?) \| (.+?) \| `(.+?)` \| (.+?) \| \[source\]\((https://.+?)\) \|$",
        (REPOSITORY / "docs" / "security.md").read_text(),
        re.MULTILINE,
    )
)
"""The rows of the page."""

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


@dataclass
class Graph:
    """What a deployment grants, and in which order it is made.

    Attributes:
        grants: Each grant and the resource that makes it.
        permissions: What each role gives.
        needs: For each resource those that are made before it.
    """

    grants: list[tuple[Grant, str]]
    permissions: dict[str, set[str]]
    needs: dict[str, set[str]]

    @classmethod
    def of(cls, plan: Plan, workspace: Workspace, subject: Subject) -> Graph:
        """Reads a plan, and what `terraform graph` says of the same directory."""
        made = [found for found in plan.resources if is_grant(found)]
        by_grant = [(grants(plan, subject.project, [found])[0], f"{found.type}.{found.name}") for found in made]
        roles = {
            f"projects/{role['project']}/roles/{role['role_id']}": set(role["permissions"])
            for role in plan.all("google_project_iam_custom_role")
        }
        needs: dict[str, set[str]] = {}
        for after, before in re.findall(r'"([^"]+)" -> "([^"]+)"', workspace.run("graph", below=subject.below).stdout):
            needs.setdefault(after, set()).add(before)
        return cls(by_grant, {**GIVES, **roles}, needs)

    def giving(self, link: Link) -> list[str]:
        """The resources that give a link its permission."""
        return [
            resource
            for grant, resource in self.grants
            if (grant.who, grant.on) == (link.who, link.on)
            and link.permission in self.permissions.get(grant.role, set())
        ]

    def problems(self) -> Iterator[str]:
        """What is missing, link by link; nothing if every step can be taken."""
        for link in LINKS:
            giving = self.giving(link)
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
