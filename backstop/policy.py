"""What a deployment allows, whatever a command asks for: who may publish commands may do no more than this.

A command that asks for more is refused as a whole, by the name of the setting, and never carried out in part.
"""

import fnmatch

from backstop.commands import Command, EncryptionType, Follow, Start, Sweep
from backstop.durations import duration_text
from backstop.ports import Settings


def refusal(command: Command, settings: Settings) -> tuple[str, str] | None:
    """The field of a command that asks for too much, and a sentence that names the setting; None if none does."""
    instance = "/".join(command.target.split("/")[:4])
    if settings.instances and not any(fnmatch.fnmatchcase(instance, pattern) for pattern in settings.instances):
        return command.target_field, f"{instance} is none of the instances in BACKSTOP_INSTANCES."
    if getattr(command, "include_scheduled", False) and not settings.allow_scheduled:
        return "include_scheduled", "BACKSTOP_ALLOW_SCHEDULED is false: what native schedules made is left alone here."
    asked, least = command.cancel_after if isinstance(command, Sweep) else None, settings.cancel_after_min
    if asked is not None and asked < least:
        return "cancel_after", f"BACKSTOP_CANCEL_AFTER_MIN is {duration_text(least)}: a sweep may ask for no less."
    watched, ends = command.cancel_after if isinstance(command, Start | Follow) else None, settings.give_up_after
    if watched is not None and watched > ends:
        return "cancel_after", f"BACKSTOP_GIVE_UP_AFTER is {duration_text(ends)}: after that nobody is there to cancel."
    encryption = command.encryption if isinstance(command, Start) else None
    if encryption and encryption.type is EncryptionType.GOOGLE_DEFAULT_ENCRYPTION and not settings.allow_weaker_key:
        why = "BACKSTOP_ALLOW_WEAKER_KEY is false: leave the encryption out to have the database's own."
        return "encryption.type", why
    return None
