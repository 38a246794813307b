"""The deployment as a graph of identities: who calls what with which permission, and what gives it.

Each link is one call of a first apply, start, cancel, deletion or alarm: a row of the reviewers' page. It holds if a
grant of the plan gives the permission on the thing that is called, if the grant is made before the step and waited for,
and if whoever is granted it exists by then. What Google gives its own agents isn't the module's: the page names it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import pytest

from tests.terraform.grants import AGENTS, Grant, granting
from tests.terraform.plans import REPOSITORY, Plan, Workspace

FUNCTION = "google_cloudfunctions2_function.function"
WAIT_BUILD, WAIT_MESSAGES = "time_sleep.build_grants", "time_sleep.message_grants"
START, SWEEP = "google_cloud_scheduler_job.start", "google_cloud_scheduler_job.sweep"
AGENT = "google_project_service_identity.agent"


class Link(NamedTuple):
    """One call: who does what with which permission on what, and the page or the issue that says so."""

    who: str
    does: str
    permission: str
    on: str
    source: str


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
    "roles/iam.serviceAccountTokenCreator": {f"iam.serviceAccounts.get{it}Token" for it in ("Access", "OpenId")},
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
            wait, step = (WAIT_BUILD, FUNCTION) if link.who == "backstop-build" else (WAIT_MESSAGES, START)
            what, giving = f"{link.who} {link.does}", self.giving(link)
            if not giving:
                yield f"{what}: nothing gives {link.permission} on {link.on}"
                continue
            if not any(self._before(resource, wait) for resource in giving):
                yield f"{what}: {wait} doesn't wait for {giving}"
            if not self._before(wait, step):
                yield f"{what}: {step} doesn't wait for {wait}"
            if link.who in AGENTS.values() and not any(self._before(AGENT, resource) for resource in giving):
                yield f"{what}: the agent may not exist when it is granted something"
        if not self._before(WAIT_MESSAGES, SWEEP):
            yield f"the first sweep: {SWEEP} doesn't wait for {WAIT_MESSAGES}"

    def _before(self, first: str, then: str) -> bool:
        """Whether one resource is made before another."""
        seen, left = set[str](), {then}
        while left:
            seen |= left
            left = {before for here in left for before in self.needs.get(here, ())} - seen
        return first in seen


@pytest.fixture(scope="module")
def graph(plans: Mapping[str, Plan], workspace: Workspace) -> Graph:
    """A deployment that has the names of the minimal one, and the order that `terraform graph` says."""
    plan = plans["calendar"]
    roles = {
        f"projects/{role['project']}/roles/{role['role_id']}": set(role["permissions"])
        for role in plan.all("google_project_iam_custom_role")
    }
    needs: dict[str, set[str]] = {}
    for after, before in re.findall(r'"([^"]+)" -> "([^"]+)"', workspace.run("graph").stdout):
        needs.setdefault(after, set()).add(before)
    by_grant = [(grant, f"{found.type}.{found.name}") for grant, found in granting(plan)]
    return Graph(by_grant, {**GIVES, **roles}, needs)


def test_every_link_holds(graph: Graph) -> None:
    """Each call has its permission, from a grant that is waited for, of somebody who exists."""
    assert list(graph.problems()) == []


def test_every_grant_is_needed_by_a_link(graph: Graph) -> None:
    """No grant is there that no step needs, and the page lists each step of the 25."""
    assert {(grant.who, grant.on) for grant, _ in graph.grants} == {(link.who, link.on) for link in LINKS}
    assert len(set(LINKS)) == len(LINKS) == 25


def _unbound(link: Link, graph: Graph) -> Graph:
    """Takes away the grants that give a link its permission."""
    gone = graph.giving(link)
    return replace(graph, grants=[it for it in graph.grants if it[1] not in gone or it[0].on != link.on])


def _narrowed(link: Link, graph: Graph) -> Graph:
    """Takes the permission out of the roles."""
    return replace(graph, permissions={role: held - {link.permission} for role, held in graph.permissions.items()})


def _elsewhere(who: str, graph: Graph) -> Graph:
    """Binds somebody else in its place."""
    return replace(graph, grants=[(it._replace(who=it.who.replace(who, "?")), made) for it, made in graph.grants])


def _unordered(then: str, first: str, graph: Graph) -> Graph:
    """Makes one resource, or every one, without waiting for another."""
    needs = graph.needs.items()
    return replace(graph, needs={it: before - ({first} if then in ("", it) else set()) for it, before in needs})


MISTAKES: dict[str, Callable[[Graph], Graph]] = {
    # One in each link: the grant is missing, or its role lacks the permission, in turn.
    **{f"{it.who} {it.does}, but is not granted it": partial(_unbound, it) for it in LINKS[::2]},
    **{f"{it.who} {it.does}, but by a role without it": partial(_narrowed, it) for it in LINKS[1::2]},
    "the agent of Pub/Sub is another project's": partial(_elsewhere, "Pub/Sub's agent"),
    "the function runs as somebody else": partial(_elsewhere, "backstop-run"),
    # And the order.
    "the build doesn't wait": partial(_unordered, FUNCTION, WAIT_BUILD),
    "the wait of the build forgets the copy": partial(
        _unordered, WAIT_BUILD, "google_project_iam_member.build_reads_copy"
    ),
    "the first command doesn't wait": partial(_unordered, START, WAIT_MESSAGES),
    "the first sweep doesn't wait": partial(_unordered, SWEEP, WAIT_MESSAGES),
    "the wait forgets the tasks' signature": partial(
        _unordered, WAIT_MESSAGES, "google_service_account_iam_member.agent_signs_as_tasks"
    ),
    "the agents are hoped for": partial(_unordered, "", AGENT),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_in_a_link_is_noticed(graph: Graph, mistake: Callable[[Graph], Graph]) -> None:
    """Whatever is taken out of the graph leaves a step that can't be taken, and it is named."""
    assert list(mistake(graph).problems())
