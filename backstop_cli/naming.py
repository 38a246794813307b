"""Short names: what a person types, and the one resource that it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backstop.names import BackupName, DatabaseName, Name, OperationName
from backstop_cli.errors import CliError, did_you_mean
from backstop_cli.settings import Settings
from backstop_cli.spanner import Spanner

KINDS: dict[str, type[Name]] = {"database": DatabaseName, "backup": BackupName, "operation": OperationName}


@dataclass(frozen=True, slots=True)
class Target:
    """What a command is about."""

    kind: str  # `database`, `backup` or `operation`.
    name: str  # The full name.

    @property
    def id(self) -> str:
        """The last part of the name."""
        return short(self.name)

    @property
    def instance(self) -> str:
        """The instance that it is in."""
        return instance_of(self.name)

    @property
    def typed(self) -> str:
        """The shortest text that means it and nothing else, without asking Spanner."""
        return self.name.partition(f"{self.instance}/")[2]


def short(name: str) -> str:
    """The last part of a name."""
    return name.rpartition("/")[2]


def instance_of(name: str) -> str:
    """The instance that a name begins with."""
    return "/".join(name.split("/")[:4])


def resolve(text: str, kinds: Sequence[str], settings: Settings, spanner: Spanner) -> Target:
    """Finds what a text means; a full name, or one with its kind as in `backups/B`, without asking Spanner.

    Raises:
        CliError: There is no such thing, or there are two.
    """
    if "/" in text:
        return _written(text, kinds, settings)
    instance = settings.instance
    databases = {short(name) for name in spanner.databases(instance)} if "database" in kinds else set[str]()
    found = [Target("database", f"{instance}/databases/{text}")] if text in databases else []
    # What can't be a backup's id, Spanner needn't be asked for.
    if "backup" in kinds and not text.startswith("_") and spanner.backup(f"{instance}/backups/{text}"):
        found.append(Target("backup", f"{instance}/backups/{text}"))
    if found:
        if len(found) == 1:
            return found[0]
        raise CliError(f"{text!r} is a database and a backup.", f"Type `{found[0].typed}` or `{found[1].typed}`.")
    if "operation" in kinds:
        operations = [one.name for one in spanner.operations(instance) if short(one.name) == text]
        if len(operations) == 1:
            return Target("operation", operations[0])
    known = databases | ({short(one.name) for one in spanner.backups(instance)} if "backup" in kinds else set())
    hint = did_you_mean(text, known) or f"In it are: {', '.join(sorted(known)[:10]) or 'none'}."
    raise CliError(f"{instance} has no {_either(kinds)} {text!r}.", hint)


def _written(text: str, kinds: Sequence[str], settings: Settings) -> Target:
    """The target that is written out, as a full name or from the project or the instance on."""
    name = text
    if text.startswith("instances/"):
        name = f"projects/{settings.project}/{text}"
    elif text.startswith(("databases/", "backups/")):
        name = f"{settings.instance}/{text}"
    mistake = ""
    for kind in reversed(kinds):
        try:
            return Target(kind, str(KINDS[kind](name)))
        except ValueError as error:
            if f"/{kind}s/" in name or not mistake:
                mistake = str(error)
    raise CliError(f"{text!r} is no {_either(kinds)}: it {mistake}.")


def _either(kinds: Sequence[str]) -> str:
    return " or ".join([", ".join(kinds[:-1]), kinds[-1]]) if len(kinds) > 1 else kinds[0]
