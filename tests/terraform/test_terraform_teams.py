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
from tests.terraform.watching import environment_of
from tests.unit.handlers_world import START, World

TEAMS = {"payments": "ledger", "shop": "orders"}
"""Each team, and its instance."""


class Team:
    """One of the two: its part of the example, and a database of its instance."""

    def __init__(self, name: str, plans: Mapping[str, Plan]) -> None:
        self.name, self.instance, self.plan = name, TEAMS[name], plans["teams"].part(name)
        self.database = DatabaseName(f"projects/{PROJECT}/instances/{self.instance}/databases/main")
        self.grants = grants(self.plan)
        self.topics = {topic.name: topic["id"] for topic in self.plan.all("google_pubsub_topic")}

    def world(self, database: DatabaseName) -> World:
        """Its function, as its plan sets it, and a database."""
        return World(databases=[database], settings=settings.read(environment_of(self.plan)).handlers)

    def publishers(self, topic: str) -> set[str]:
        """Who may publish to a topic of its own."""
        return {grant.who for grant in self.grants if grant.on == f"topic {self.name}-{topic}"}


@pytest.fixture(params=TEAMS)
def team(request: pytest.FixtureRequest, plans: Mapping[str, Plan]) -> Team:
    """A team."""
    return Team(request.param, plans)


@pytest.fixture
def other(team: Team, plans: Mapping[str, Plan]) -> Team:
    """The one whose instance it must leave alone."""
    return Team(next(name for name in TEAMS if name != team.name), plans)


def test_a_team_is_granted_nothing_that_is_the_others(team: Team, other: Team) -> None:
    """No account and no publisher of one is bound to a topic, queue, account, bucket or instance of the other."""
    ours, theirs = ({role["role_id"] for role in it.plan.all("google_project_iam_custom_role")} for it in (team, other))

    assert not [it for it in team.grants if other.name in it.who or other.name in it.on or other.instance in it.on]
    assert not {it.who for it in team.grants} & {it.who for it in other.grants if "agent" not in it.who}
    assert team.publishers("commands") == {f"group:{team.name}@example.com", "Scheduler's agent"}
    assert not ours & theirs


def test_a_team_can_not_command_the_others_instance(team: Team, other: Team) -> None:
    """Its own function turns each command down by the setting's name, and calls nothing of Spanner's."""
    world = team.world(other.database)

    for command in (
        {"action": "start", "database": other.database},
        {"action": "cancel", "database": other.database},
        {"action": "follow", "database": other.database, "cancel_after": "0s"},
        {"action": "sweep", "instance": other.database.instance, "cancel_after": "24h", "if_created": "delete"},
    ):
        world.send(**command)

        assert "BACKSTOP_INSTANCES" in world.detail

    assert world.outcomes == ["REJECTED"] * 4
    assert set(world.calls) == {"Publish"}


def test_a_team_can_not_forge_a_follow_up_for_the_other(team: Team, other: Team) -> None:
    """The other's function believes the topic of its own only, and there only its own tasks account publishes."""
    world = other.world(other.database)
    world.send(action="start", database=other.database)
    look = Poll(
        trigger=Trigger("16", START, team.topics["commands"]),
        step=1,
        operation=OperationName(world.results[0]["operation"]),
        database=other.database,
        intent=Intent.CANCEL,
        give_up_at=START + timedelta(days=3),
    )

    for topic in team.topics.values():
        world.deliver(Delivery(encode_follow_up(look), {KIND_ATTRIBUTE: KIND_FOLLOW_UP}, "17", START, topic))

    assert world.outcomes == ["STARTED", *["REJECTED"] * len(team.topics)]
    assert world.calls["GetOperation"] == 0
    assert environment_of(other.plan)["BACKSTOP_FOLLOW_UPS_TOPIC"] not in team.topics.values()
    assert other.publishers("follow-ups") == {f"{other.name}-tasks"}
