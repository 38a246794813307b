"""Resource names: text that has been checked once and can be trusted from then on.

What is checked is what could do harm: a name must stay within its place in an address, a filter or a log line. Whether
there can be such a resource, its service judges, which knows more kinds of names than any rule of ours: projects have
been made with ids of one letter, with numbers and with domains.
"""

from __future__ import annotations

import re
from typing import ClassVar, Self

# Of one part of a name, in bytes: as long as the longest that there is, a topic's.
# https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names (documented)
ID_LENGTH_MAX = 255

# https://cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups (documented: 2 to 60)
BACKUP_ID_LENGTH_MAX = 60

_ODD = re.compile(r"[^A-Za-z0-9\-_.~+%@$!&]")
# The colon follows the domain of an old project: `example.com:orders`.
# https://cloud.google.com/resource-manager/docs/creating-managing-projects (documented)
_ODD_IN_PROJECT = re.compile(r"[^A-Za-z0-9\-_.~+%@$!&:]")

# Parts that mean something else: two are steps in a path, and to Google `-` stands for everything.
# https://google.aip.dev/159 (documented)
_SPECIAL = frozenset({".", "..", "-"})


class Name(str):
    """Text of one fixed form. Constructing one is checking it.

    Raises:
        ValueError: The text has another form; whoever wrote the text should correct what is named.
    """

    __slots__ = ()
    form: ClassVar[str]

    def __init_subclass__(cls, form: str) -> None:
        """Notes the form of one kind of names."""
        cls.form = form

    def __new__(cls, text: str) -> Self:
        """Checks the text."""
        if wrong := _wrong(cls.form.split("/"), text.split("/")):
            raise ValueError(f"must have the form {cls.form}: {wrong}")
        return super().__new__(cls, text)

    @classmethod
    def fits(cls, text: str) -> bool:
        """Whether a text is such a name."""
        return not _wrong(cls.form.split("/"), text.split("/"))

    @property
    def id(self) -> str:
        """The last part of the name."""
        return self.rpartition("/")[2]

    @property
    def instance(self) -> InstanceName:
        """The Spanner instance that the name begins with."""
        return InstanceName("/".join(self.split("/")[:4]))


class BackupId(Name, form="BACKUP"):
    """The last part of a backup's name, unique in its instance."""


class InstanceName(Name, form="projects/PROJECT/instances/INSTANCE"):
    """A Spanner instance."""

    def backup(self, backup_id: BackupId) -> BackupName:
        """The backup of that id in this instance."""
        return BackupName(f"{self}/backups/{backup_id}")


class DatabaseName(Name, form=f"{InstanceName.form}/databases/DATABASE"):
    """A Spanner database; its instance holds all of its backups."""


class BackupName(Name, form=f"{InstanceName.form}/backups/BACKUP"):
    """A Spanner backup. One name may have belonged to several backups, one after another."""


class OperationName(Name, form=f"{BackupName.form}/operations/OPERATION"):
    """A long-running operation that makes a backup: the identity of one attempt."""

    @property
    def backup(self) -> BackupName:
        """The backup that the operation makes."""
        return BackupName(self.rpartition("/operations/")[0])


class TopicName(Name, form="projects/PROJECT/topics/TOPIC"):
    """A Pub/Sub topic."""


class QueueName(Name, form="projects/PROJECT/locations/LOCATION/queues/QUEUE"):
    """A Cloud Tasks queue."""


def unquoted(name: str) -> str:
    """A name as it reads where an address has quoted it: a topic's may hold `%2D`, which is then the same as `-`."""
    decoded = re.sub(rb"%([0-9A-Fa-f]{2})", lambda found: bytes.fromhex(found[1].decode()), name.encode())
    return decoded.decode(errors="replace")


def backup_stem(database_id: str) -> str:
    """What an id that Spanner takes for a backup may begin with, whatever the database's id looks like."""
    return re.sub(r"[^a-z0-9_\-]", "-", database_id.lower()).lstrip("0123456789_-") or "backup"


def _wrong(form: list[str], parts: list[str]) -> str:
    """Which part of a name is wrong, and how; empty if none is."""
    for position, expected in enumerate(form):
        found = parts[position] if position < len(parts) else ""
        if not found:
            return f"{expected} is missing"
        if expected.islower():
            if found != expected:
                return f"{found!r} stands where {expected!r} should"
        elif found in _SPECIAL or len(found) > ID_LENGTH_MAX:
            return f"{expected} can't be {found!r}"
        elif odd := (_ODD_IN_PROJECT if expected == "PROJECT" else _ODD).search(found):
            return f"{expected} can't hold {odd[0]!r}"
    return f"{'/'.join(parts[len(form) :])!r} is too much" if len(parts) > len(form) else ""
