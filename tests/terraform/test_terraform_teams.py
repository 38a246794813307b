"""Two teams in one project: what one may publish never touches what belongs to the other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from backstop.events import Trigger
from backstop.followups import Intent, Poll
from backstop.gcp import settings
from backstop.names import DatabaseName, OperationName
from backstop.wire import KIND_ATTRIBUTE, KIND_FOLLOW_UP, Delivery, encode_follow_up
from tests.terraform.grants import grants
from tests.terraform.plans import Plan
from tests.terraform.subjects import PROJECT
from tests.terraform.watching import FUNCTION, environment_of
from tests.unit.handlers_world import START, World

TEAMS = {"payments": "ledger", "shop": "orders"}
"""Each team, and its instance."""

PAIRS = [("payments", "shop"), ("shop", "payments")]
"""A team, and the one whose instance it must leave alone."""


@pytest.fixture(scope="module")
def teams(plans: Mapping[str, Plan]) -> dict[str, Plan]:
    """Each team's part of the example."""
    return {team: plans["teams"].part(team) for team in TEAMS}


def database_of(team: str) -> DatabaseName:
    """A database of a team's instance."""
    return DatabaseName(f"projects/{PROJECT}/instances/{TEAMS[team]}/databases/main")


def world_of(plan: Plan, database: DatabaseName) -> World:
    """A team's function, as its plan sets it, and a database."""
    return World(databases=[database], settings=settings.read(environment_of(plan)).handlers)


def publishers(plan: Plan, topic: str) -> set[str]:
    """Who may publish to a topic."""
    return {grant.who for grant in grants(plan, PROJECT) if grant.on == f"topic {topic}"}


@pytest.mark.parametrize(("team", "other"), PAIRS)
def test_a_team_is_granted_nothing_that_is_the_others(teams: dict[str, Plan], team: str, other: str) -> None:
    """No account and no publisher of one is bound to a topic, queue, account, bucket or instance of the other."""
    found = grants(teams[team], PROJECT)
    foreign = [grant for grant in grants(teams[other], PROJECT) if team in grant.who or "agent" not in grant.who]
    ours, theirs = (
        {role["role_id"] for role in teams[it].all("google_project_iam_custom_role")} for it in (team, other)
    )

    assert not [grant for grant in found if other in grant.who or other in grant.on or TEAMS[other] in grant.on]
    assert not {grant.who for grant in found} & {grant.who for grant in foreign}
    assert not ours & theirs


@pytest.mark.parametrize(("team", "other"), PAIRS)
def test_a_team_can_not_command_the_others_instance(teams: dict[str, Plan], team: str, other: str) -> None:
    """Its own function turns each command down by the setting's name, and calls nothing of Spanner's."""
    database = database_of(other)
    world = world_of(teams[team], database)

    for command in (
        {"action": "start", "database": database},
        {"action": "cancel", "database": database},
        {"action": "follow", "database": database, "cancel_after": "0s"},
        {"action": "sweep", "instance": database.instance, "cancel_after": "24h", "if_created": "delete"},
    ):
        world.send(**command)

        assert "BACKSTOP_INSTANCES" in world.detail

    assert world.outcomes == ["REJECTED"] * 4
    assert set(world.calls) == {"Publish"}


@pytest.mark.parametrize(("team", "other"), PAIRS)
def test_a_team_can_not_forge_a_follow_up_for_the_other(teams: dict[str, Plan], team: str, other: str) -> None:
    """The other's function believes the topic of its own only, and there only its own tasks account publishes."""
    topics = [topic["id"] for topic in teams[team].all("google_pubsub_topic")]
    database = database_of(other)
    world = world_of(teams[other], database)
    world.send(action="start", database=database)
    look = encode_follow_up(
        Poll(
            trigger=Trigger("16", START, topics[0]),
            step=1,
            operation=OperationName(world.results[0]["operation"]),
            database=database,
            intent=Intent.CANCEL,
            give_up_at=START + timedelta(days=3),
        )
    )

    for topic in topics:
        world.deliver(Delivery(look, {KIND_ATTRIBUTE: KIND_FOLLOW_UP}, "17", START, topic))

    assert world.outcomes == ["STARTED", *["REJECTED"] * len(topics)]
    assert world.calls["GetOperation"] == 0
    assert environment_of(teams[other])["BACKSTOP_FOLLOW_UPS_TOPIC"] not in topics
    assert publishers(teams[other], f"{other}-follow-ups") == {f"{other}-tasks"}


@pytest.mark.parametrize("team", TEAMS)
def test_a_teams_outcomes_name_its_own_topic(teams: dict[str, Plan], team: str) -> None:
    """Everything tells which topic its command came from, and only the team's publishers may publish there."""
    database = database_of(team)
    world = world_of(teams[team], database)
    topic = teams[team].one("google_pubsub_topic", "commands")["id"]

    world.deliver(Delivery(b'{"action": "start", "database": "%s"}' % database.encode(), {}, "17", START, topic))

    assert [result["trigger"]["topic"] for result in world.results] == [topic]
    assert teams[team].one(FUNCTION)["name"] == team
    assert publishers(teams[team], f"{team}-commands") == {f"group:{team}@example.com", "Scheduler's agent"}
