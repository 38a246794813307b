"""Every step of a first apply, start, cancel, deletion and alarm is one that somebody may take, by then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy

import pytest

from tests.terraform.identities import AGENT, FUNCTION, LINKS, START, SWEEP, WAIT_BUILD, WAIT_MESSAGES, Graph, Link
from tests.terraform.plans import Plan, Workspace
from tests.terraform.subjects import SUBJECTS


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


Change = Callable[[Graph], None]


def _unbound(link: Link) -> Change:
    """Takes away the grants that give a link its permission."""

    def change(graph: Graph) -> None:
        gone = graph.giving(link)
        graph.grants = [it for it in graph.grants if it[1] not in gone or it[0].on != link.on]

    return change


def _narrowed(link: Link) -> Change:
    """Takes the permission out of the roles."""

    def change(graph: Graph) -> None:
        graph.permissions = {role: held - {link.permission} for role, held in graph.permissions.items()}

    return change


def _elsewhere(who: str) -> Change:
    """Binds somebody else in its place."""

    def change(graph: Graph) -> None:
        graph.grants = [(grant._replace(who=grant.who.replace(who, "?")), made_by) for grant, made_by in graph.grants]

    return change


def _unordered(then: str, first: str) -> Change:
    """Makes one resource without waiting for another."""
    return lambda graph: graph.needs[then].remove(first)


def _agents_hoped_for(graph: Graph) -> None:
    graph.needs = {resource: needed - {AGENT} for resource, needed in graph.needs.items()}


MISTAKES: dict[str, Change] = {
    # One in each link: the grant is missing, or its role lacks the permission, in turn.
    **{f"{it.who} {it.does}, but is not granted it": _unbound(it) for it in LINKS[::2]},
    **{f"{it.who} {it.does}, but by a role without it": _narrowed(it) for it in LINKS[1::2]},
    "the agent of Pub/Sub is another project's": _elsewhere("Pub/Sub's agent"),
    "the function runs as somebody else": _elsewhere("backstop-run"),
    # And the order.
    "the build doesn't wait": _unordered(FUNCTION, WAIT_BUILD),
    "the wait of the build forgets the copy": _unordered(WAIT_BUILD, "google_project_iam_member.build_reads_copy"),
    "the first command doesn't wait": _unordered(START, WAIT_MESSAGES),
    "the first sweep doesn't wait": _unordered(SWEEP, WAIT_MESSAGES),
    "the wait forgets the tasks' signature": _unordered(
        WAIT_MESSAGES, "google_service_account_iam_member.agent_signs_as_tasks"
    ),
    "the agents are hoped for": _agents_hoped_for,
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_in_a_link_is_noticed(graph: Graph, mistake: Change) -> None:
    """Whatever is taken out of the graph leaves a step that can't be taken, and it is named."""
    spoiled = deepcopy(graph)
    mistake(spoiled)

    assert list(spoiled.problems())
