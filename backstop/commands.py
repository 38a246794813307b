"""What people and Cloud Scheduler may ask for. A command that exists is valid: constructing one checks it."""

import enum
from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct

from backstop.durations import Duration, duration_text
from backstop.errors import BadMessageError
from backstop.names import BackupId, BackupName, DatabaseName, InstanceName, OperationName

# Spanner's own window for a backup's expiry, from the time it processes the request.
# https://cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups (documented)
RETENTION_MIN, RETENTION_MAX = timedelta(hours=6), timedelta(days=366)

# How long Spanner lists an operation after its end; nothing can be promised for longer than that.
# https://cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backupOperations/list (documented)
OPERATION_KEPT = timedelta(days=7)

# Pub/Sub keeps no message longer than 31 days, so a longer limit would say nothing.
# https://cloud.google.com/pubsub/docs/subscription-properties (documented)
START_WITHIN_MIN, START_WITHIN_MAX = timedelta(seconds=1), timedelta(days=31)

# An instance holds at most 100 databases by default and their ids have at most 30 characters.
# https://cloud.google.com/spanner/quotas (documented)
PATTERN_COUNT_MAX, PATTERN_LENGTH_MAX = 100, 60

CLAIM_LENGTH_MAX = 200  # Of `requested_by` and `reason`, in characters: a name, a ticket, one sentence.

TARGETS = ("operation", "backup", "database", "instance")  # The fields that name what a command is about.


class IfCreated(enum.StrEnum):
    """What to do with a backup that finishes before the cancel takes effect."""

    DELETE = "delete"
    KEEP = "keep"


class EncryptionType(enum.StrEnum):
    """https://cloud.google.com/spanner/docs/reference/rest/v1/CreateBackupEncryptionConfig (documented)."""

    USE_DATABASE_ENCRYPTION = "USE_DATABASE_ENCRYPTION"
    GOOGLE_DEFAULT_ENCRYPTION = "GOOGLE_DEFAULT_ENCRYPTION"
    CUSTOMER_MANAGED_ENCRYPTION = "CUSTOMER_MANAGED_ENCRYPTION"


class Encryption(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whose keys encrypt the backup."""

    type: EncryptionType
    kms_key_names: tuple[str, ...] = ()  # In full, one for each region of the instance.

    def __post_init__(self) -> None:
        """Checks that keys are named exactly where they are used."""
        if (self.type is EncryptionType.CUSTOMER_MANAGED_ENCRYPTION) != bool(self.kms_key_names):
            reason = "must name keys for CUSTOMER_MANAGED_ENCRYPTION, and must be absent otherwise"
            raise BadMessageError("encryption.kms_key_names", list(self.kms_key_names), reason)


Claim = Annotated[str, Meta(max_length=CLAIM_LENGTH_MAX)]
Pattern = Annotated[str, Meta(min_length=1, max_length=PATTERN_LENGTH_MAX)]


class _Command(Struct, tag_field="action", frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What every command may say."""

    dry_run: bool = False  # Say what would be done, and do nothing.
    requested_by: Claim = ""  # Who asks. Nothing checks it.
    reason: Claim = ""  # Why. Nothing checks it.

    def __post_init__(self) -> None:
        """Checks what the fields' types can't say: one target, and durations that mean something."""
        fields = [field for field in TARGETS if hasattr(self, field)]
        given = [field for field in fields if getattr(self, field) is not None]
        if len(given) != 1:
            found = ", ".join(given) or "none of them"
            raise BadMessageError(" | ".join(fields), found, "exactly one of these must be given")
        for field, low, high in (
            ("retention", RETENTION_MIN, RETENTION_MAX),
            ("cancel_after", timedelta(0), OPERATION_KEPT),
            ("start_within", START_WITHIN_MIN, START_WITHIN_MAX),
        ):
            value = getattr(self, field, None)
            if value is not None and not low <= value <= high:
                reason = f"must be {duration_text(low)} to {duration_text(high)}"
                raise BadMessageError(field, duration_text(value), reason)

    @property
    def action(self) -> str:
        """The command's name, such as `start`."""
        return str(self.__struct_config__.tag)

    @property
    def target_field(self) -> str:
        """The field that names what the command is about."""
        return next(field for field in TARGETS if getattr(self, field, None) is not None)

    @property
    def target(self) -> str:
        """The full name of what the command is about."""
        return str(getattr(self, self.target_field))


class Start(_Command, frozen=True, kw_only=True, tag="start"):
    """Start a backup of one database, or one of each database of an instance."""

    database: DatabaseName | None = None  # Either this
    instance: InstanceName | None = None  # or this is given.
    # Shell-style patterns for the ids of the instance's databases. Left out it means all; an empty list is refused, as
    # a program that found none to name would start every one.
    databases: Annotated[tuple[Pattern, ...], Meta(min_length=1, max_length=PATTERN_COUNT_MAX)] = ()
    backup_id: BackupId | None = None  # None: derived from the message.
    retention: Duration | None = None  # How long the backup is kept; None: as the setting says.
    version_time: Annotated[datetime, Meta(tz=True)] | None = None  # Whose data it holds; None: that of the request.
    encryption: Encryption | None = None  # None: as the database is.
    cancel_after: Duration | None = None  # Stop it if it still runs this long after its start; None: never.
    if_created: IfCreated = IfCreated.DELETE  # What to do if it finishes before that stop takes effect.
    start_within: Duration | None = None  # Don't start if more than this has passed since publishing.

    def __post_init__(self) -> None:
        """Checks what goes together, too."""
        super().__post_init__()
        if self.database is not None and self.databases:
            raise BadMessageError("databases", list(self.databases), "goes with instance, not with database")
        if self.instance is not None and self.backup_id is not None:
            raise BadMessageError("backup_id", self.backup_id, "can't name the backups of several databases")


class _OfOneAttempt(_Command, frozen=True, kw_only=True):
    """Exactly one of the first three is given: the attempt itself, or what it makes, or what it backs up."""

    operation: OperationName | None = None
    backup: BackupName | None = None
    database: DatabaseName | None = None
    if_created: IfCreated = IfCreated.DELETE  # What to do if the backup finishes before the cancel takes effect.
    include_scheduled: bool = False  # Also stop, and delete, what a native backup schedule made.


class Cancel(_OfOneAttempt, frozen=True, kw_only=True, tag="cancel"):
    """Stop a backup that is being made; delete it if it finishes before the cancel takes effect."""


class Follow(_OfOneAttempt, frozen=True, kw_only=True, tag="follow"):
    """Publish the end of an operation that somebody else started."""

    cancel_after: Duration | None = None  # Stop it if it still runs this long after its start; None: only watch.


class Sweep(_Command, frozen=True, kw_only=True, tag="sweep"):
    """Look after everything in an instance that slipped through, among the operations of the last 7 days."""

    instance: InstanceName
    cancel_after: Duration | None = None  # Stop what has run longer than this; None: nothing.
    if_created: IfCreated = IfCreated.KEEP  # What to do with a backup that completed although it was cancelled.
    include_scheduled: bool = False  # Also stop, and delete, what native backup schedules made.


Command = Start | Cancel | Follow | Sweep
