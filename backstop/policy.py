"""What a deployment allows, whatever a command asks for: who may publish commands may do no more than this.

The settings are the deployment's, so nobody who can only publish can widen them. A command that asks for more is
refused as a whole, by the name of the setting, and never carried out in part.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from backstop.commands import Encryption, EncryptionType, Start, Sweep
from backstop.durations import duration_text
from backstop.follow_ups import target

if TYPE_CHECKING:
    from backstop.commands import Command


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator allows; without a word everything.

    Attributes:
        allow_scheduled: Whether what native backup schedules made may be stopped and deleted.
        allow_weaker_key: Whether a start may ask for Google's default encryption. Nobody's key is weaker, and what key
            the database has isn't ours to read; a start that says nothing takes that one.
        cancel_after_min: The shortest `cancel_after` that a sweep may ask for: it stops everybody's backups.
        instances: Shell-style patterns for the full names of the instances that may be commanded; empty: all.
    """

    allow_scheduled: bool = True
    allow_weaker_key: bool = True
    cancel_after_min: timedelta = timedelta(0)
    instances: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a command is not carried out.

    Attributes:
        field: The command's field that asks for too much.
        why: A sentence that names the setting.
    """

    field: str
    why: str


def refusal(command: Command, policy: Policy) -> Refusal | None:
    """Which setting forbids a command; None if none does."""
    instance = "/".join(target(command).split("/")[:4])
    if policy.instances and not any(fnmatch.fnmatchcase(instance, pattern) for pattern in policy.instances):
        field = next(name for name in ("instance", "database", "backup", "operation") if getattr(command, name, None))
        return Refusal(field, f"{instance} is none of the instances in BACKSTOP_INSTANCES.")
    if getattr(command, "include_scheduled", False) and not policy.allow_scheduled:
        return Refusal(
            "include_scheduled",
            "BACKSTOP_ALLOW_SCHEDULED is false: what native backup schedules made is left alone here.",
        )
    match command:
        case Sweep(cancel_after=timedelta() as asked) if asked < policy.cancel_after_min:
            least = duration_text(policy.cancel_after_min)
            return Refusal("cancel_after", f"BACKSTOP_CANCEL_AFTER_MIN is {least}: a sweep may ask for no less.")
        case Start(encryption=Encryption(type=EncryptionType.GOOGLE_DEFAULT_ENCRYPTION)) if not policy.allow_weaker_key:
            return Refusal(
                "encryption.type",
                "BACKSTOP_ALLOW_WEAKER_KEY is false: leave the encryption out to have the database's own.",
            )
    return None
