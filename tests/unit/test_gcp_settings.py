"""What an operator may choose, and what is said about a wrong choice."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import pytest

from backstop.gcp import logs, settings

REQUIRED = {
    "BACKSTOP_FOLLOW_UPS_TOPIC": "projects/demo-project/topics/follow-ups",
    "BACKSTOP_TASKS_QUEUE": "projects/demo-project/locations/europe-west1/queues/backstop",
    "BACKSTOP_TASKS_SERVICE_ACCOUNT": "backstop-tasks@demo-project.iam.gserviceaccount.com",
}


ANOTHER = "must be another topic than that of the follow-ups, or each outcome would be answered with one"
NO_ADDRESS = "must be HOST:PORT, without a scheme such as http://"
NO_PATTERNS = "must be patterns for names such as projects/P/instances/I, separated by commas"

TEAM = "projects/p/instances/team"

# What can be chosen: the variable, its value, the setting, and what that is without a choice and with it.
CHOICES: list[tuple[str, str, str, object, object]] = [
    ("BACKSTOP_RETENTION", "30d", "retention", timedelta(days=14), timedelta(days=30)),
    ("BACKSTOP_LOOK_MIN", "1s", "poll_min", timedelta(seconds=10), timedelta(seconds=1)),
    ("BACKSTOP_LOOK_MAX", "1d", "poll_max", timedelta(hours=1), timedelta(days=1)),
    ("BACKSTOP_GIVE_UP_AFTER", "7d", "give_up_after", timedelta(days=3), timedelta(days=7)),
    ("BACKSTOP_CANCEL_AFTER_MIN", "0s", "cancel_after_min", timedelta(hours=1), timedelta(0)),
    ("BACKSTOP_ALLOW_DELETE", "false", "allow_delete", True, False),
    ("BACKSTOP_ALLOW_SCHEDULED", "true", "allow_scheduled", False, True),
    ("BACKSTOP_ALLOW_WEAKER_KEY", "true", "allow_weaker_key", False, True),
    ("BACKSTOP_INSTANCES", f"{TEAM},{TEAM}-*", "instances", (), (TEAM, f"{TEAM}-*")),
]


def test_each_choice_is_taken_and_what_is_not_chosen_has_its_default() -> None:
    """The required variables are enough; an empty variable is one that isn't set, as deployment tools write those."""
    required = {"follow_ups_topic": REQUIRED["BACKSTOP_FOLLOW_UPS_TOPIC"]}
    chosen = settings.read(REQUIRED | {variable: value for variable, value, *_ in CHOICES})
    empty = settings.read(REQUIRED | dict.fromkeys(["BACKSTOP_RESULTS_TOPIC", *(one[0] for one in CHOICES)], ""))

    assert asdict(settings.read(REQUIRED).handlers) == required | {name: default for *_, name, default, _ in CHOICES}
    assert asdict(chosen.handlers) == required | {name: value for *_, name, _, value in CHOICES}
    assert empty == settings.read(REQUIRED)


def test_an_instance_says_with_which_settings_it_serves() -> None:
    """What was chosen, and the defaults of what was not; what is empty is left out."""
    values = settings.read({**REQUIRED, "BACKSTOP_LOOK_MIN": "1s", "BACKSTOP_INSTANCES": ""}).values

    line = json.loads(logs.serving(values))
    assert line["severity"] == "INFO"
    assert line["settings"] == values
    assert {**REQUIRED, "BACKSTOP_LOOK_MIN": "1s", "BACKSTOP_RETENTION": "14d"}.items() <= values.items()
    assert "BACKSTOP_INSTANCES" not in values


def test_the_names_that_the_shell_needs_are_taken() -> None:
    """Where events go, and where follow-ups wait."""
    environment = settings.read({**REQUIRED, "BACKSTOP_RESULTS_TOPIC": "projects/demo-project/topics/results"})

    assert environment.results_topic == "projects/demo-project/topics/results"
    assert environment.tasks_queue == REQUIRED["BACKSTOP_TASKS_QUEUE"]
    assert environment.tasks_service_account == REQUIRED["BACKSTOP_TASKS_SERVICE_ACCOUNT"]
    assert settings.read(REQUIRED).results_topic == ""


def test_emulated_tasks_need_no_account() -> None:
    """An emulator asks for no token."""
    environ = {name: value for name, value in REQUIRED.items() if "ACCOUNT" not in name}

    for address in ("127.0.0.1:1", "[::1]:8123", "tasks_1.local:8123", "spanner.europe-west1.rep.googleapis.com:443"):
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
        *((variable, "http://localhost:9010", NO_ADDRESS) for variable in settings.EMULATORS + settings.ENDPOINTS),
        *(("PUBSUB_EMULATOR_HOST", text, NO_ADDRESS) for text in ("localhost", "localhost:8123/", ":443", "a b:1")),
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
        ("BACKSTOP_CANCEL_AFTER_MIN", "8d", "must be 0s to 7d"),
        ("BACKSTOP_INSTANCES", "projects/p/instances/a,", NO_PATTERNS),
        ("BACKSTOP_INSTANCES", "orders", NO_PATTERNS),
        ("BACKSTOP_INSTANCES", "projects/p/instances/a, projects/p/instances/b", NO_PATTERNS),
        ("BACKSTOP_ALLOW_SCHEDULED", "yes", "must be true or false"),
        ("BACKSTOP_ALLOW_WEAKER_KEY", "1", "must be true or false"),
    ],
)
def test_a_wrong_value_is_named_with_its_variable_and_the_reason(variable: str, value: str, reason: str) -> None:
    """Whoever deploys can correct it from the message alone."""
    with pytest.raises(ValueError, match=re.escape(f"{variable}: {reason}; found {value!r}")):
        settings.read({**REQUIRED, variable: value})


@pytest.mark.parametrize("text", [None, "no JSON", "[]", '{"client_email": "a@b.c"}'])
def test_a_file_of_credentials_that_is_none_is_refused_at_start(text: str | None, tmp_path: Path) -> None:
    """Whether a key is good, only Google can say; whether it is there, the function can."""
    path = tmp_path / "key.json"
    if text is not None:
        path.write_text(text)

    with pytest.raises(ValueError, match=r"^GOOGLE_APPLICATION_CREDENTIALS: must name a file of credentials"):
        settings.read({**REQUIRED, "GOOGLE_APPLICATION_CREDENTIALS": str(path)})
