"""Where settings come from, and what short names mean: no service is asked."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from backstop_cli.app import main
from backstop_cli.errors import CliError
from backstop_cli.naming import resolve as find
from backstop_cli.session import Session
from backstop_cli.settings import Settings, resolve
from backstop_cli.spanner import Backup, Operation, Spanner

INSTANCE = "projects/p/instances/i"


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment with a file of settings and gcloud's configuration."""
    (tmp_path / "backstop.toml").write_text('instance = "from-file"\nqueue = "from-file"\n')
    configurations = tmp_path / "gcloud" / "configurations"
    configurations.mkdir(parents=True)
    (tmp_path / "gcloud" / "active_config").write_text("work\n")
    (configurations / "config_work").write_text(
        "[core]\nproject = from-gcloud\naccount = anna@example.com\n[spanner]\ninstance = from-gcloud\n"
    )
    return {"XDG_CONFIG_HOME": str(tmp_path), "CLOUDSDK_CONFIG": str(tmp_path / "gcloud")}


def sources(settings: Settings, name: str) -> tuple[str, str]:
    """A setting's value and the last part of its source."""
    found = settings.found[name]
    return found.value, found.source.rpartition("/")[2]


def test_each_setting_is_taken_from_the_first_place_that_has_it(home: dict[str, str]) -> None:
    """A flag, the environment, the file, gcloud's configuration, the default."""
    environ = {**home, "BACKSTOP_INSTANCE": "from-variable"}

    assert sources(resolve({"instance": "from-flag"}, environ), "instance") == ("from-flag", "--instance")
    assert sources(resolve({}, environ), "instance") == ("from-variable", "BACKSTOP_INSTANCE")
    assert sources(resolve({}, home), "instance") == ("from-file", "backstop.toml")
    assert sources(resolve({}, home), "project") == ("from-gcloud", "gcloud's config_work")
    assert sources(resolve({}, home), "requested_by") == ("anna@example.com", "gcloud's config_work")
    assert sources(resolve({}, home), "commands_topic") == ("backstop-commands", "default")
    assert sources(resolve({}, {**home, "CLOUDSDK_CORE_PROJECT": "v"}), "project") == ("v", "CLOUDSDK_CORE_PROJECT")


def test_short_values_are_completed(home: dict[str, str]) -> None:
    """With the project and the location."""
    settings = resolve({"location": "l"}, home)

    assert settings.instance == "projects/from-gcloud/instances/from-file"
    assert settings.queue == "projects/from-gcloud/locations/l/queues/from-file"
    assert settings.results_topic == "projects/from-gcloud/topics/backstop-results"
    assert resolve({}, {**home, "BACKSTOP_RESULTS_TOPIC": ""}).results_topic == ""
    assert resolve({"instance": INSTANCE}, {"XDG_CONFIG_HOME": "/none", "CLOUDSDK_CONFIG": "/none"}).project == "p"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('instnace = "i"', "unknown setting 'instnace'"),
        ("instance = 7", "instance must be text in quotes; found 7"),
        ("instance", "can't be read"),
    ],
)
def test_a_file_that_is_wrong_is_named_with_the_value(tmp_path: Path, text: str, said: str) -> None:
    """Who wrote it sees what to correct."""
    path = tmp_path / "mine.toml"
    path.write_text(text)

    with pytest.raises(CliError) as raised:
        resolve({}, {"BACKSTOP_CONFIG": str(path)})
    assert said in raised.value.message
    assert str(path) in raised.value.message


def test_a_file_that_was_named_must_be_there() -> None:
    """Another one would be taken for it."""
    with pytest.raises(CliError, match="there is no file '/no/such/file'"):
        resolve({}, {"BACKSTOP_CONFIG": "/no/such/file"})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("instance", "", "Which instance?"),
        ("instance", "projects/p/instance/i", "'instance' stands where 'instances' should"),
        ("queue", "q", "Which location?"),
    ],
)
def test_a_setting_that_is_missing_or_wrong_says_what_to_give(name: str, value: str, said: str) -> None:
    """With a flag, a variable, or in the file."""
    settings = resolve({name: value, "project": "p"}, {"XDG_CONFIG_HOME": "/none", "CLOUDSDK_CONFIG": "/none"})

    with pytest.raises(CliError) as raised:
        getattr(settings, name)
    assert said in raised.value.message


class Known:
    """A Spanner with one name for a database and a backup, and no other."""

    asked = 0

    def databases(self, instance: str) -> list[str]:
        """One, and another."""
        self.asked += 1
        return [f"{instance}/databases/twice", f"{instance}/databases/orders-eu"]

    def backup(self, name: str) -> Backup | None:
        """One."""
        self.asked += 1
        return cast("Backup", name) if name.endswith("/twice") else None

    def backups(self, instance: str) -> list[Backup]:
        """None that could be meant."""
        del instance
        return []

    def operations(self, instance: str) -> list[Operation]:
        """None."""
        del instance
        return []


def means(text: str) -> tuple[str, str, int]:
    """What a text means, and how often Spanner was asked."""
    known = Known()
    kinds = ("database", "backup", "operation")
    found = find(text, kinds, resolve({"instance": INSTANCE}, {"XDG_CONFIG_HOME": "/none"}), cast("Spanner", known))
    return found.kind, found.name, known.asked


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("databases/d", "database", f"{INSTANCE}/databases/d"),
        ("backups/b", "backup", f"{INSTANCE}/backups/b"),
        ("backups/b/operations/o", "operation", f"{INSTANCE}/backups/b/operations/o"),
        ("instances/j/databases/d", "database", "projects/p/instances/j/databases/d"),
        ("projects/q/instances/j/backups/b", "backup", "projects/q/instances/j/backups/b"),
    ],
)
def test_a_name_with_its_kind_is_taken_as_it_is(text: str, kind: str, name: str) -> None:
    """Spanner isn't asked, so nothing delays a cancel."""
    assert means(text) == (kind, name, 0)


@pytest.mark.parametrize(
    ("flags", "name", "spelled"),
    [
        ({}, "projects/p/instances/i/backups/b", "backups/b"),
        ({}, "projects/p/instances/j/backups/b", "projects/p/instances/j/backups/b"),
        ({}, "projects/p/instances/i", "i"),
        ({}, "projects/p/instances/j", "j"),
        ({}, "projects/q/instances/i", "projects/q/instances/i"),
        ({"instance": "j"}, "projects/p/instances/j/backups/b", "backups/b --instance j"),
        ({"instance": "j"}, "projects/p/instances/i/backups/b", "projects/p/instances/i/backups/b --instance j"),
        ({"project": "q"}, "projects/q/instances/j", "j --project q"),
        ({"queue": "a b"}, "projects/p/instances/i", "i --queue 'a b'"),
    ],
)
def test_advice_means_the_same_when_it_is_pasted(flags: dict[str, str], name: str, spelled: str) -> None:
    """Short names only where the settings make them whole, and the flags that made them so."""
    environ = {"XDG_CONFIG_HOME": "/none", "BACKSTOP_PROJECT": "p", "BACKSTOP_INSTANCE": "i"}
    session = Session(resolve(flags, environ), "table", flags)

    assert session.advice("describe", session.spelled(name)) == f"backstop describe {spelled}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("twice", "'twice' is a database and a backup.\nType `databases/twice` or `backups/twice`."),
        ("orders", "has no database, backup or operation 'orders'.\nDid you mean `orders-eu`?"),
        ("zebra", "In it are: orders-eu, twice."),
        ("backups/b/c", "is no database, backup or operation"),
        ("databases/a b", "DATABASE can't hold ' '"),
    ],
)
def test_a_name_that_means_nothing_or_two_things_says_what_to_type(text: str, said: str) -> None:
    """The value, and what is nearest to it."""
    with pytest.raises(CliError) as raised:
        means(text)
    assert said in raised.value.message


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cansel"], "There is no command 'cansel'.\nDid you mean `cancel`?"),
        (
            ["start", "d", "--retention", "7 days"],
            "must be a duration such as 45s, 30m, 6h, 14d or 1h30m; found '7 days'",
        ),
        (["start", "databases/d", "--databases", "x*"], "--databases goes without a DATABASE"),
        (["start", "databases/d", "--reason", "x" * 201], "reason must have at most 200 characters; found 201"),
        (["status", "--fromat", "json"], "--format"),
    ],
)
def test_a_command_line_that_is_wrong_ends_with_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says what is wrong, with the value; a service is never asked."""
    monkeypatch.setenv("BACKSTOP_INSTANCE", INSTANCE)
    monkeypatch.setenv("SPANNER_EMULATOR_HOST", "127.0.0.1:1")

    assert main(arguments) == 2
    assert said in capsys.readouterr().err
