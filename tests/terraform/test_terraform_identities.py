"""Every step of a first apply, start, cancel, deletion and alarm is one that somebody may take, by then."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import pytest

from tests.terraform.identities import AGENT, FUNCTION, LINKS, START, SWEEP, WAIT_BUILD, WAIT_MESSAGES, Graph, Link
from tests.terraform.subjects import SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.terraform.plans import Plan, Workspace


@pytest.fixture(scope="module")
def graph(plans: Mapping[str, Plan], workspace: Workspace) -> Graph:
    """A deployment that has the names of the minimal one."""
    return Graph.of(plans["calendar"], workspace, SUBJECTS["calendar"])


def test_every_link_holds(graph: Graph) -> None:
    """Each call has its permission, from a grant that is waited for, of somebody who exists."""
    assert list(graph.problems()) == []


def test_every_grant_is_needed_by_a_link(graph: Graph) -> None:
    """No grant is there that no step needs, and the page lists each step of the 25."""
    needed = {(link.who, link.on) for link in LINKS}

    assert {(grant.who, grant.on) for grant, _ in graph.grants} == needed
    assert len(set(LINKS)) == len(LINKS) == 25


def _unbound(graph: Graph, link: Link) -> None:
    gone = graph.giving(link)
    graph.grants = [it for it in graph.grants if it[1] not in gone or it[0].on != link.on]


def _narrowed(graph: Graph, link: Link) -> None:
    graph.permissions = {role: held - {link.permission} for role, held in graph.permissions.items()}


def _elsewhere(graph: Graph, who: str) -> None:
    graph.grants = [(it._replace(who="somebody") if it.who == who else it, resource) for it, resource in graph.grants]


def _unordered(graph: Graph, then: str, first: str) -> None:
    graph.needs[then].remove(first)


def _agents_hoped_for(graph: Graph) -> None:
    graph.needs = {resource: needed - {AGENT} for resource, needed in graph.needs.items()}


SIGNS_AS_TASKS = "google_service_account_iam_member.agent_signs_as_tasks"

MISTAKES: dict[str, Callable[[Graph], None]] = {
    # One in each link: the grant is missing, or its role lacks the permission, in turn.
    **{
        f"{link.who} {link.does}, but {kind}": lambda graph, spoil=spoil, link=link: spoil(graph, link)
        for number, link in enumerate(LINKS)
        for kind, spoil in [(("is not granted it", _unbound), ("by a role without it", _narrowed))[number % 2]]
    },
    "the agent of Pub/Sub is another project's": lambda graph: _elsewhere(graph, "Pub/Sub's agent"),
    "the function runs as somebody else": lambda graph: _elsewhere(graph, "backstop-run"),
    # And the order.
    "the build doesn't wait": lambda graph: _unordered(graph, FUNCTION, WAIT_BUILD),
    "the wait of the build forgets the copy": lambda graph: _unordered(
        graph, WAIT_BUILD, "google_project_iam_member.build_reads_copy"
    ),
    "the first command doesn't wait": lambda graph: _unordered(graph, START, WAIT_MESSAGES),
    "the first sweep doesn't wait": lambda graph: _unordered(graph, SWEEP, WAIT_MESSAGES),
    "the wait forgets the tasks' signature": lambda graph: _unordered(graph, WAIT_MESSAGES, SIGNS_AS_TASKS),
    "the agents are hoped for": _agents_hoped_for,
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_in_a_link_is_noticed(graph: Graph, mistake: Callable[[Graph], None]) -> None:
    """Whatever is taken out of the graph leaves a step that can't be taken, and it is named."""
    spoiled = deepcopy(graph)
    mistake(spoiled)

    assert list(spoiled.problems())
