"""The record of what was done to the state, for a checker that trusts nothing else."""

import enum
from datetime import datetime
from typing import NamedTuple

from spanner_backup_emulator.errors import Code


class What(enum.Enum):
    """What happened: CALLED, one per call, after its effects, with the code it was answered with; or else an effect."""

    CALLED = "called"
    BACKUP_STARTED = "backup started"
    BACKUP_READY = "backup ready"
    BACKUP_DELETED = "backup deleted"
    BACKUP_EXPIRED = "backup expired"
    BACKUP_REMOVED = "backup removed"
    EXPIRY_CHANGED = "expiry changed"
    CANCEL_RECEIVED = "cancel received"
    OPERATION_DONE = "operation done"
    OPERATION_FORGOTTEN = "operation forgotten"
    REFERENCE_ADDED = "reference added"
    REFERENCE_REMOVED = "reference removed"


class Event(NamedTuple):
    """One line of the record. It is a tuple because a simulation writes millions.

    Attributes:
        resource: The full name of the backup, operation or database that it happened to.
        cause: The RPC, or what brought it about by itself: `expiry`, `cancel`, `failure`, `schedule`, `test`.
        code: How the call was answered or how the operation ended.
        operation: The operation concerned, if any.
        uid: Which of the backups that ever had this name; 0 where no backup is concerned.
        create_time: The same, as a client can see it.
    """

    at: datetime
    what: What
    resource: str
    cause: str
    code: Code = Code.OK
    operation: str = ""
    uid: int = 0
    create_time: datetime | None = None
