"""What an operator may choose, and what is said about a wrong choice."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from backstop.gcp import settings
from backstop.ports import Settings

REQUIRED = {
    "BACKSTOP_FOLLOW_UPS_TOPIC": "projects/demo-project/topics/follow-ups",
    "BACKSTOP_TASKS_QUEUE": "projects/demo-project/locations/europe-west1/queues/backstop",
    "BACKSTOP_TASKS_SERVICE_ACCOUNT": "backstop-tasks@demo-project.iam.gserviceaccount.com",
}


ANOTHER = "must be another topic than that of the follow-ups, or each outcome would be answered with one"
NO_ADDRESS = "must be HOST:PORT, without a scheme such as http://"


def test_what_is_not_chosen_has_its_default() -> None:
    """The required variables are enough."""
    environment = settings.read(REQUIRED)

    assert environment.handlers == Settings(
        follow_ups_topic=REQUIRED["BACKSTOP_FOLLOW_UPS_TOPIC"],
        retention=timedelta(days=14),
        poll_min=timedelta(seconds=10),
        poll_max=timedelta(hours=1),
        give_up_after=timedelta(days=3),
        allow_delete=True,
        policy=environment.handlers.policy,
    )
    assert environment.results_topic == ""
    assert environment.tasks_queue == REQUIRED["BACKSTOP_TASKS_QUEUE"]
    assert environment.tasks_service_account == REQUIRED["BACKSTOP_TASKS_SERVICE_ACCOUNT"]


def test_every_choice_is_taken() -> None:
    """Each variable changes what it names."""
    environment = settings.read(
        REQUIRED
        | {
            "BACKSTOP_RESULTS_TOPIC": "projects/demo-project/topics/results",
            "BACKSTOP_RETENTION": "30d",
            "BACKSTOP_LOOK_MIN": "1s",
            "BACKSTOP_LOOK_MAX": "1d",
            "BACKSTOP_GIVE_UP_AFTER": "7d",
            "BACKSTOP_ALLOW_DELETE": "false",
        }
    )

    assert environment.results_topic == "projects/demo-project/topics/results"
    assert environment.handlers == Settings(
        REQUIRED["BACKSTOP_FOLLOW_UPS_TOPIC"],
        retention=timedelta(days=30),
        poll_min=timedelta(seconds=1),
        poll_max=timedelta(days=1),
        give_up_after=timedelta(days=7),
        allow_delete=False,
        policy=environment.handlers.policy,
    )


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    """Deployment tools write empty texts for what was left out."""
    empty = dict.fromkeys(
        [
            "BACKSTOP_RESULTS_TOPIC",
            "BACKSTOP_RETENTION",
            "BACKSTOP_LOOK_MIN",
            "BACKSTOP_LOOK_MAX",
            "BACKSTOP_GIVE_UP_AFTER",
            "BACKSTOP_ALLOW_DELETE",
        ],
        "",
    )

    assert settings.read(REQUIRED | empty) == settings.read(REQUIRED)


def test_emulated_tasks_need_no_account() -> None:
    """An emulator asks for no token."""
    environ = {name: value for name, value in REQUIRED.items() if "ACCOUNT" not in name}

    for address in ("127.0.0.1:1", "localhost:8123", "[::1]:8123", "tasks_1.local:8123"):
        assert settings.read(environ | {"CLOUD_TASKS_EMULATOR_HOST": address}).tasks_service_account == ""


def test_a_project_may_have_a_domain() -> None:
    """Settings with such a project kept the function from starting."""
    environ = {name: value.replace("/demo-project/", "/example.com:demo/") for name, value in REQUIRED.items()}

    assert settings.read(environ).tasks_queue.startswith("projects/example.com:demo/locations/")


@pytest.mark.parametrize("variable", REQUIRED)
def test_a_required_variable_that_is_missing_is_named(variable: str) -> None:
    """The error says which one, and that it isn't set."""
    with pytest.raises(ValueError, match=rf"^{variable}: must .*; it is not set$"):
        settings.read({name: value for name, value in REQUIRED.items() if name != variable})


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        (
            "BACKSTOP_FOLLOW_UPS_TOPIC",
            "follow-ups",
            "must have the form projects/PROJECT/topics/TOPIC: 'follow-ups' stands where 'projects' should",
        ),
        (
            "BACKSTOP_RESULTS_TOPIC",
            "projects/demo-project/topics/a b",
            "must have the form projects/PROJECT/topics/TOPIC: TOPIC can't hold ' '",
        ),
        ("BACKSTOP_RESULTS_TOPIC", REQUIRED["BACKSTOP_FOLLOW_UPS_TOPIC"], ANOTHER),
        ("BACKSTOP_RESULTS_TOPIC", REQUIRED["BACKSTOP_FOLLOW_UPS_TOPIC"].replace("-ups", "%2Dups"), ANOTHER),
        (
            "BACKSTOP_TASKS_QUEUE",
            "projects/p/locations/l/queues/",
            "must have the form projects/PROJECT/locations/LOCATION/queues/QUEUE: QUEUE is missing",
        ),
        ("SPANNER_EMULATOR_HOST", "http://localhost:9010", NO_ADDRESS),
        ("PUBSUB_EMULATOR_HOST", "localhost", NO_ADDRESS),
        ("CLOUD_TASKS_EMULATOR_HOST", "localhost:8123/", NO_ADDRESS),
        ("BACKSTOP_TASKS_SERVICE_ACCOUNT", "backstop", "must be the e-mail address of a service account"),
        ("BACKSTOP_RETENTION", "two weeks", "must be a duration such as 45s, 30m, 6h, 14d or 1h30m"),
        ("BACKSTOP_RETENTION", "5h", "must be 6h to 366d"),
        ("BACKSTOP_RETENTION", "367d", "must be 6h to 366d"),
        ("BACKSTOP_LOOK_MIN", "0s", "must be 1s to 1d"),
        ("BACKSTOP_LOOK_MIN", "2d", "must be 1s to 1d"),
        ("BACKSTOP_LOOK_MAX", "9s", "must be 10s to 1d"),
        ("BACKSTOP_LOOK_MAX", "1d1s", "must be 10s to 1d"),
        ("BACKSTOP_GIVE_UP_AFTER", "8d", "must be 10s to 7d"),
        ("BACKSTOP_GIVE_UP_AFTER", "5s", "must be 10s to 7d"),
        ("BACKSTOP_ALLOW_DELETE", "no", "must be true or false"),
        ("BACKSTOP_ALLOW_DELETE", "False", "must be true or false"),
    ],
)
def test_a_wrong_value_is_named_with_its_variable_and_the_reason(variable: str, value: str, reason: str) -> None:
    """Whoever deploys can correct it from the message alone."""
    with pytest.raises(ValueError, match=re.escape(f"{variable}: {reason}; found {value!r}")):
        settings.read({**REQUIRED, variable: value})
