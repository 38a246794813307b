"""Resource names: text that has been checked once and can be trusted from then on."""

from __future__ import annotations

import re
from typing import ClassVar, Self

_PROJECT = r"projects/(?:[a-z0-9.\-]+:)?[a-z][a-z0-9\-]{4,28}[a-z0-9]"
"""Google's project ids, with the domain prefix of old ones.

https://cloud.google.com/resource-manager/docs/creating-managing-projects (documented)
"""

_INSTANCE = _PROJECT + r"/instances/[a-z][a-z0-9\-]{0,62}[a-z0-9]"
"""https://cloud.google.com/spanner/docs/reference/rest/v1/projects.instances (documented: 2 to 64 characters)"""

_DATABASE = _INSTANCE + r"/databases/[a-z][a-z0-9_\-]{0,28}[a-z0-9]"
"""https://cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.databases/create (documented: 2 to 30)"""

BACKUP_ID_LENGTH_MAX = 60
"""https://cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups (documented: 2 to 60)"""

_BACKUP_ID = r"[a-z][a-z0-9_\-]{0,58}[a-z0-9]"
_BACKUP = _INSTANCE + "/backups/" + _BACKUP_ID
_OPERATION = _BACKUP + r"/operations/[A-Za-z0-9_\-]{1,128}"


class Name(str):
    """Text of one fixed form. Constructing one is checking it.

    Raises:
        ValueError: The text has another form; whoever wrote the text should correct it.
    """

    __slots__ = ()
    form: ClassVar[str]
    pattern: ClassVar[re.Pattern[str]]

    def __new__(cls, text: str) -> Self:
        """Checks the text."""
        if not cls.pattern.fullmatch(text):
            raise ValueError(f"must have the form {cls.form}")
        return super().__new__(cls, text)


class BackupId(Name):
    """The last part of a backup's name, unique in its instance."""

    __slots__ = ()
    form = "[a-z][a-z0-9_-]*[a-z0-9], 2 to 60 characters"
    pattern = re.compile(_BACKUP_ID)


class InstanceName(Name):
    """A Spanner instance."""

    __slots__ = ()
    form = "projects/PROJECT/instances/INSTANCE"
    pattern = re.compile(_INSTANCE)

    def backup(self, backup_id: BackupId) -> BackupName:
        """The backup of that id in this instance."""
        return BackupName(f"{self}/backups/{backup_id}")


class DatabaseName(Name):
    """A Spanner database."""

    __slots__ = ()
    form = "projects/PROJECT/instances/INSTANCE/databases/DATABASE"
    pattern = re.compile(_DATABASE)

    @property
    def instance(self) -> InstanceName:
        """The instance that holds the database, and all of its backups."""
        return InstanceName(self.rpartition("/databases/")[0])

    @property
    def database_id(self) -> str:
        """The last part of the name."""
        return self.rpartition("/")[2]


class BackupName(Name):
    """A Spanner backup. One name may have belonged to several backups, one after another."""

    __slots__ = ()
    form = "projects/PROJECT/instances/INSTANCE/backups/BACKUP"
    pattern = re.compile(_BACKUP)

    @property
    def instance(self) -> InstanceName:
        """The instance that holds the backup."""
        return InstanceName(self.rpartition("/backups/")[0])

    @property
    def backup_id(self) -> str:
        """The last part of the name."""
        return self.rpartition("/")[2]


class OperationName(Name):
    """A long-running CreateBackup operation: the identity of one attempt."""

    __slots__ = ()
    form = "projects/PROJECT/instances/INSTANCE/backups/BACKUP/operations/OPERATION"
    pattern = re.compile(_OPERATION)

    @property
    def backup(self) -> BackupName:
        """The backup that the operation makes."""
        return BackupName(self.rpartition("/operations/")[0])


class TopicName(Name):
    """A Pub/Sub topic."""

    __slots__ = ()
    form = "projects/PROJECT/topics/TOPIC"
    pattern = re.compile(_PROJECT + r"/topics/[A-Za-z][A-Za-z0-9\-_.~+%]{2,254}")


class QueueName(Name):
    """A Cloud Tasks queue."""

    __slots__ = ()
    form = "projects/PROJECT/locations/LOCATION/queues/QUEUE"
    pattern = re.compile(_PROJECT + r"/locations/[a-z0-9\-]+/queues/[A-Za-z0-9\-]{1,100}")
