"""Resource names of the Spanner admin API.

Their form is documented at https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups.
"""

from __future__ import annotations

import re

_INSTANCE = r"projects/[^/]+/instances/[^/]+"
_INSTANCE_NAME = re.compile(_INSTANCE)
_DATABASE_NAME = re.compile(rf"{_INSTANCE}/databases/[^/]+")
_BACKUP_ID = re.compile(r"[a-z][a-z0-9_\-]{0,58}[a-z0-9]")
_DATABASE_ID = re.compile(r"[a-z][a-z0-9_\-]{0,28}[a-z0-9]")


def is_instance(name: str) -> bool:
    """Whether this is an instance's full name."""
    return _INSTANCE_NAME.fullmatch(name) is not None


def is_database(name: str) -> bool:
    """Whether this is a database's full name."""
    return _DATABASE_NAME.fullmatch(name) is not None


def is_backup_id(text: str) -> bool:
    """Whether a new backup may have this id: 2 to 60 characters of a fixed alphabet."""
    return _BACKUP_ID.fullmatch(text) is not None


def is_database_id(text: str) -> bool:
    """Whether a new database may have this id: 2 to 30 characters of a fixed alphabet."""
    return _DATABASE_ID.fullmatch(text) is not None


def instance_of(name: str) -> str:
    """The instance that holds the database or backup of this full name."""
    return "/".join(name.split("/", 4)[:4])
