"""Two teams in one project: what one may publish never touches what belongs to the other."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from backstop.events import Trigger
from backstop.followups import Intent, Poll
from backstop.gcp import settings
from backstop.names import DatabaseName, InstanceName, OperationName
from backstop.wire import KIND_ATTRIBUTE, KIND_FOLLOW_UP, Delivery, encode_follow_up
from tests.terraform.facts import FUNCTION, environment_of
from tests.terraform.grants import grants
from tests.unit.handlers_world import START, World

if TYPE_CHECKING:
    from backstop.ports import Settings
    from tests.terraform.plans import Plan, Workspace

PROJECT = "example-project"
TEAMS = {"payments": "ledger", "shop": "orders"}
"""Each team, and its instance."""

PAIRS = [("payments", "shop"), ("shop", "payments")]
"""A team, and the one whose instance it must leave alone."""


@pytest.fixture(scope="module")
def teams(workspace: Workspace) -> dict[str, Plan]:
    """The plan of the example, each team's part of it."""
    plan = workspace.plan("terraform/examples/teams")
    return {team: plan.part(team) for team in TEAMS}


def instance_of(team: str) -> InstanceName:
    """A team's instance."""
    return InstanceName(f"projects/{PROJECT}/instances/{TEAMS[team]}")


def settings_of(plan: Plan) -> Settings:
    """What a team's function is told."""
    return settings.read(environment_of(plan)).handlers


@pytest.mark.parametrize(("team", "other"), PAIRS)
def test_a_team_is_granted_nothing_that_is_the_others(teams: dict[str, Plan], team: str, other: str) -> None:
    """No account and no publisher of one is bound to a topic, queue, account, bucket or instance of the other."""
    found = grants(teams[team], PROJECT)
    foreign = [grant for grant in grants(teams[other], PROJECT) if team in grant.who or "agent" not in grant.who]

    assert not [grant for grant in found if other in grant.who or other in grant.on or TEAMS[other] in grant.on]
    assert not {grant.who for grant in found} & {grant.who for grant in foreign}
    roles = {role.text("role_id") for role in teams[team].all("google_project_iam_custom_role")}
    assert not roles & {role.text("role_id") for role in teams[other].all("google_project_iam_custom_role")}


@pytest.mark.parametrize(("team", "other"), PAIRS)
@pytest.mark.parametrize(
    "command",
    [
        {"action": "start"},
        {"action": "cancel"},
        {"action": "follow", "cancel_after": "0s"},
        {"action": "sweep", "cancel_after": "24h", "if_created": "delete"},
    ],
    ids=lambda command: str(command["action"]),
)
def test_a_team_can_not_command_the_others_instance(
    teams: dict[str, Plan], team: str, other: str, command: dict[str, object]
) -> None:
    """Its own function turns the command down by the setting's name, and calls nothing of Spanner's."""
    database = DatabaseName(f"{instance_of(other)}/databases/main")
    world = World(databases=[database], settings=settings_of(teams[team]))
    target = {"instance": instance_of(other)} if command["action"] == "sweep" else {"database": database}

    world.send(**command, **target)

    assert world.outcomes == ["REJECTED"]
    assert "BACKSTOP_INSTANCES" in world.detail
    assert set(world.calls) == {"Publish"}


@pytest.mark.parametrize(("team", "other"), PAIRS)
def test_a_team_can_not_forge_a_follow_up_for_the_other(teams: dict[str, Plan], team: str, other: str) -> None:
    """The other's function believes the topic of its own only, and there only its own tasks account publishes."""
    ours, theirs = teams[team], teams[other]
    topics = [topic.text("id") for topic in ours.all("google_pubsub_topic")]
    database = DatabaseName(f"{instance_of(other)}/databases/main")
    world = World(databases=[database], settings=settings_of(theirs))
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
    assert settings_of(theirs).follow_ups_topic not in topics
    publishers = [grant.who for grant in grants(theirs, PROJECT) if grant.on == f"topic {other}-follow-ups"]
    assert publishers == [f"{other}-tasks"]


@pytest.mark.parametrize("team", TEAMS)
def test_a_teams_outcomes_name_its_own_topic(teams: dict[str, Plan], team: str) -> None:
    """Everything tells which topic its command came from, and only the team's publishers may publish there."""
    database = DatabaseName(f"{instance_of(team)}/databases/main")
    world = World(databases=[database], settings=settings_of(teams[team]))
    topic = teams[team].one("google_pubsub_topic", "commands").text("id")

    world.deliver(Delivery(b'{"action": "start", "database": "%s"}' % database.encode(), {}, "17", START, topic))

    assert [result["trigger"]["topic"] for result in world.results] == [topic]
    assert teams[team].one(FUNCTION).text("name") == team
    may = {grant.who for grant in grants(teams[team], PROJECT) if grant.on == f"topic {team}-commands"}
    assert may == {f"group:{team}@example.com", "Scheduler's agent"}
