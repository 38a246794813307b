"""The settings in force, and where each came from: a flag, the environment, a small file, gcloud's configuration."""

from __future__ import annotations

import configparser
import getpass
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from backstop.names import InstanceName, Name, QueueName, TopicName
from backstop_cli.errors import CliError, did_you_mean

VARIABLES: Mapping[str, tuple[str, ...]] = {
    "project": ("BACKSTOP_PROJECT", "GOOGLE_CLOUD_PROJECT"),
    "instance": ("BACKSTOP_INSTANCE",),
    "location": ("BACKSTOP_LOCATION",),
    "commands_topic": ("BACKSTOP_COMMANDS_TOPIC",),
    "results_topic": ("BACKSTOP_RESULTS_TOPIC",),
    "queue": ("BACKSTOP_TASKS_QUEUE",),
    "requested_by": ("BACKSTOP_REQUESTED_BY",),
    "log": ("BACKSTOP_LOG",),
}
"""The settings, and the variables that hold them; those of the function are the function's own."""

_GCLOUD: Mapping[str, tuple[tuple[str, str], ...]] = {
    "project": (("core", "project"),),
    "instance": (("spanner", "instance"),),
    "location": (("functions", "region"), ("run", "region")),
    "requested_by": (("core", "account"),),
}
"""https://cloud.google.com/sdk/gcloud/reference/config/set (documented)"""

_DEFAULTS: Mapping[str, str] = {
    "commands_topic": "backstop-commands",
    "results_topic": "backstop-results",
    "queue": "backstop-follow-ups",
}
"""As the Terraform module names them."""

CLAIM_LENGTH_MAX = 200
"""Of `requested_by` and `reason`, in characters: what the function takes."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One value."""

    value: str = ""  # As it was written; empty if nobody wrote one.
    source: str = "not set"  # Where it was written.


@dataclass(frozen=True, slots=True)
class Settings:
    """All of them, by the names above."""

    found: Mapping[str, Setting]

    def __getitem__(self, name: str) -> str:
        """The value as it was written."""
        return self.found[name].value

    @property
    def project(self) -> str:
        """The project's id; that of the instance where only the instance names one."""
        if self["project"]:
            return self["project"]
        if self["instance"].startswith("projects/"):
            return self["instance"].split("/")[1]
        raise _missing("project", "the project's id")

    @property
    def instance(self) -> str:
        """The instance's full name."""
        return self.instance_named(self["instance"])

    def instance_named(self, text: str) -> str:
        """The full name of the instance that a text means."""
        if not text:
            raise _missing("instance", "the instance's id, or its full name")
        text = text.removeprefix("instances/")
        return _checked(InstanceName, text if "/" in text else f"projects/{self.project}/instances/{text}", "instance")

    @property
    def commands_topic(self) -> str:
        """Where commands are published."""
        return self._topic("commands_topic")

    @property
    def results_topic(self) -> str:
        """Where outcomes are told; empty if it was set to be empty."""
        return self._topic("results_topic") if self["results_topic"] else ""

    @property
    def queue(self) -> str:
        """Where follow-ups wait."""
        text = self["queue"]
        if "/" not in text:
            if not self["location"]:
                raise _missing("location", f"the region of the queue {text}")
            text = f"projects/{self.project}/locations/{self['location']}/queues/{text}"
        return _checked(QueueName, text, "queue")

    def _topic(self, name: str) -> str:
        text = self[name]
        return _checked(TopicName, text if "/" in text else f"projects/{self.project}/topics/{text}", name)


def resolve(flags: Mapping[str, str | None], environ: Mapping[str, str]) -> Settings:
    """Takes each setting from the first place that has it."""
    file, table = _file(environ)
    places: tuple[Callable[[str], Setting], ...] = (
        lambda name: Setting(flags.get(name) or "", f"--{name.replace('_', '-')}"),
        lambda name: _from_environment(name, environ),
        lambda name: Setting(table.get(name, ""), str(file)),
        lambda name: _from_gcloud(name, environ),
        lambda name: Setting(_DEFAULTS.get(name, ""), "default"),
    )
    found = {}
    for name in VARIABLES:
        # That there is no results topic can be said, too: by an empty variable.
        told = name == "results_topic" and environ.get("BACKSTOP_RESULTS_TOPIC") == "" and not flags.get(name)
        given = (setting for place in places if (setting := place(name)).value)
        found[name] = Setting("", "BACKSTOP_RESULTS_TOPIC") if told else next(given, Setting())
    if not found["requested_by"].value:
        found["requested_by"] = _login()
    return Settings(found)


def _from_environment(name: str, environ: Mapping[str, str]) -> Setting:
    given = (Setting(environ[variable], variable) for variable in VARIABLES[name] if environ.get(variable))
    return next(given, Setting())


def _file(environ: Mapping[str, str]) -> tuple[Path, Mapping[str, str]]:
    """The file of settings and what it says; a file that isn't there says nothing, unless a variable names it."""
    folder = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    path = Path(environ.get("BACKSTOP_CONFIG") or folder / "backstop.toml")
    try:
        table = tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        if environ.get("BACKSTOP_CONFIG"):
            raise CliError(f"BACKSTOP_CONFIG: there is no file {str(path)!r}.") from error
        return path, {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CliError(f"{path} can't be read: {error}.") from error
    for name, value in table.items():
        if name not in VARIABLES:
            raise CliError(f"{path}: unknown setting {name!r}; known are {', '.join(VARIABLES)}.", _near(name))
        if not isinstance(value, str):
            raise CliError(f"{path}: {name} must be text in quotes; found {value!r}.")
    return path, table


def _near(name: str) -> str:
    return did_you_mean(name, VARIABLES)


def _from_gcloud(name: str, environ: Mapping[str, str]) -> Setting:
    """What gcloud would take, from its variables and its active configuration, without starting it."""
    for section, key in _GCLOUD.get(name, ()):
        variable = f"CLOUDSDK_{section}_{key}".upper()
        if environ.get(variable):
            return Setting(environ[variable], variable)
        for path in _gcloud_files(environ):
            parser = configparser.ConfigParser(interpolation=None)
            try:
                parser.read(path)
            except (configparser.Error, UnicodeDecodeError):
                continue
            if value := parser.get(section, key, fallback=""):
                return Setting(value, f"gcloud's {path.name}")
    return Setting()


def _gcloud_files(environ: Mapping[str, str]) -> Iterator[Path]:
    folder = Path(environ.get("CLOUDSDK_CONFIG") or Path.home() / ".config" / "gcloud")
    active = environ.get("CLOUDSDK_ACTIVE_CONFIG_NAME", "")
    if not active:
        try:
            active = (folder / "active_config").read_text().strip()
        except (OSError, UnicodeDecodeError):
            active = "default"
    yield folder / "configurations" / f"config_{active}"


def _login() -> Setting:
    try:
        return Setting(f"{getpass.getuser()}@{os.uname().nodename}"[:CLAIM_LENGTH_MAX], "your login")
    except (OSError, KeyError):
        return Setting()


def _checked(kind: type[Name], text: str, name: str) -> str:
    try:
        return str(kind(text))
    except ValueError as error:
        raise CliError(f"{name}: {error}; found {text!r}.") from error


def _missing(name: str, what: str) -> CliError:
    return CliError(
        f"Which {name}? Nothing says.",
        f'Give {what} with --{name}, or set {VARIABLES[name][0]}, or write {name} = "…" into ~/.config/backstop.toml.',
    )
