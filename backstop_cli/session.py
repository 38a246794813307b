"""What every command has at hand: its settings, its format, and the services, each opened when it is first needed."""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from backstop.durations import Duration
from backstop_cli import followups, naming
from backstop_cli.errors import CliError, words
from backstop_cli.followups import FollowUp
from backstop_cli.naming import Target
from backstop_cli.settings import Settings, resolve
from backstop_cli.spanner import Spanner

F = TypeVar("F", bound=Callable[..., Any])

FORMATS = ("table", "json", "yaml")
FLAGS = ("project", "instance", "location", "commands_topic", "results_topic", "queue")


class Session:
    """One run of a command."""

    def __init__(self, settings: Settings, form: str, flags: Mapping[str, str]) -> None:
        """Takes the settings, the format, and those settings that the command line has."""
        self.settings, self.form, self.flags = settings, form, flags

    @functools.cached_property
    def spanner(self) -> Spanner:
        """Spanner's admin API."""
        return Spanner()

    def resolve(self, text: str, *kinds: str) -> Target:
        """Finds what a short name means."""
        return naming.resolve(text, kinds, self.settings, self.spanner)

    def spelled(self, name: str) -> str:
        """The shortest text that means an instance, or what is in one, with the settings of this command."""
        instance, settings = naming.instance_of(name), self.settings
        id_ = naming.short(instance)
        try:
            if name == instance:
                return id_ if settings.instance_named(id_) == instance else name
            return name.removeprefix(f"{instance}/") if settings.instance == instance else name
        except CliError:  # The setting isn't there, or is wrong: only the full name is certain.
            return name

    def named(self, name: str) -> str:
        """The id of what is in this command's instance, and the full name of what is elsewhere."""
        return name if self.spelled(name) == name else naming.short(name)

    def advice(self, *words: str) -> str:
        """A command to be pasted: with the flags of this one, as without them it may mean another instance."""
        flags = (part for name, value in self.flags.items() for part in (f"--{name.replace('_', '-')}", value))
        return shlex.join(("backstop", *words, *flags))

    def follow_ups(self) -> tuple[list[FollowUp] | None, str]:
        """What waits in the queue; where it can't be read, None and why."""
        from google.api_core.exceptions import GoogleAPIError

        try:
            return followups.waiting(self.settings.queue), ""
        except click.ClickException as error:
            return None, error.message.partition("\n")[0]
        except GoogleAPIError as error:
            return None, f"{self.settings.queue} can't be read: {words(error)[1]}"


def common(command: F) -> F:
    """Gives a command the options that all have; it is called with a `Session` in their place."""

    @functools.wraps(command)
    def with_session(**given: Any) -> Any:
        flags = {name: given.pop(name) for name in FLAGS}
        flags["requested_by"] = given.pop("requested_by", None)
        settings = resolve(flags, os.environ)
        typed = {name: value for name in FLAGS if (value := flags[name])}
        return command(Session(settings, given.pop("form"), typed), **given)

    options = [
        click.option("--project", metavar="P", help="The project, where the target doesn't name it."),
        click.option("--instance", metavar="I", help="The Spanner instance, likewise."),
        click.option("--location", metavar="L", help="The queue's region."),
        click.option("--commands-topic", metavar="T", help="Where commands are published."),
        click.option("--results-topic", metavar="T", help="Where outcomes are told."),
        click.option("--queue", metavar="Q", help="Where follow-ups wait."),
        click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True),
    ]
    decorated: Any = with_session
    for option in reversed(options):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


class DurationText(click.ParamType[str]):
    """A duration as the commands' messages have it."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Checks the text and passes it on."""
        try:
            Duration.parse(str(value))
        except ValueError as error:
            self.fail(f"{error}; found {value!r}.", param, ctx)
        return str(value)


DURATION = DurationText()


def complete(*kinds: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Completes the names of an instance's databases and backups; says nothing where it can't."""

    def names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        try:
            settings = resolve({name: ctx.params.get(name) for name in FLAGS}, os.environ)
            spanner, found = Spanner(), list[str]()
            if "database" in kinds:
                found += spanner.databases(settings.instance)
            if "backup" in kinds:
                found += (one.name for one in spanner.backups(settings.instance))
        except Exception:  # noqa: BLE001 a shell that completes a word must not be shown an error
            return []
        return [CompletionItem(name) for one in found if (name := naming.short(one)).startswith(incomplete)]

    return names
