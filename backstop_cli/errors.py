"""What a command ends with: exit codes that tell the outcomes apart, and errors that say what to type instead."""

from __future__ import annotations

import difflib
import enum
from collections.abc import Iterable, Mapping

import click


class Exit(enum.IntEnum):
    """What the shell is told. 1, 2 and 130 are what every program means by them; ours begin at 10."""

    AS_WISHED = 0
    GOOGLE = 1
    USAGE = 2
    CANCELLED = 10
    DELETED = 11
    KEPT = 12
    FAILED = 13
    GAVE_UP = 14
    REFUSED = 15
    NOTHING = 16
    TIMED_OUT = 17
    LEFT = 18
    INTERRUPTED = 130


MEANINGS: Mapping[Exit, str] = {
    Exit.AS_WISHED: "published, shown, or, with `--wait`, ended as wished",
    Exit.GOOGLE: "Google refused a call, or could not be reached",
    Exit.USAGE: "the command line, a name or a setting is wrong; nothing was published",
    Exit.CANCELLED: "the backup was cancelled: there is none, and nothing is billed",
    Exit.DELETED: "the cancel came too late, and the backup was deleted; a day of it is billed",
    Exit.KEPT: "the cancel came too late, and the backup stays",
    Exit.FAILED: "there is no backup: Spanner failed, or no longer knows the operation or what it made",
    Exit.GAVE_UP: "Backstop gave up; somebody has to look",
    Exit.REFUSED: "Backstop refused the command",
    Exit.NOTHING: "nothing ran that could be cancelled or watched",
    Exit.TIMED_OUT: "the time to wait is up; the backup goes on",
    Exit.LEFT: "a sweep left something: a restore or a copy needs the backup, or one sweep takes no more; sweep again",
    Exit.INTERRUPTED: "Ctrl-C; the backup goes on",
}
"""The table of exit codes; the page of the command has the same."""

OUTCOMES: Mapping[str, Exit] = {
    "COMPLETED": Exit.AS_WISHED,
    "DRY_RUN": Exit.AS_WISHED,
    "CANCELLED": Exit.CANCELLED,
    "COMPLETED_THEN_DELETED": Exit.DELETED,
    "COMPLETED_KEPT": Exit.KEPT,
    "COMPLETED_DESPITE_CANCEL": Exit.KEPT,
    "FAILED": Exit.FAILED,
    "GONE": Exit.FAILED,
    "GAVE_UP": Exit.GAVE_UP,
    "REJECTED": Exit.REFUSED,
    "NOTHING_TO_CANCEL": Exit.NOTHING,
}
"""For each outcome that is a command's last word."""

ON_THE_WAY = frozenset({"STARTED", "CANCEL_REQUESTED", "DELETE_BLOCKED"})
"""The outcomes after which another one follows."""

_WISHED: Mapping[str, frozenset[Exit]] = {
    "cancel": frozenset({Exit.CANCELLED, Exit.DELETED}),
    "cancel --keep": frozenset({Exit.CANCELLED, Exit.KEPT}),
    "sweep": frozenset({Exit.CANCELLED, Exit.DELETED, Exit.KEPT, Exit.NOTHING}),
}
"""What each command is for, beside the backup that a start and a follow wait for."""


def exit_of(outcome: str, severity: str, wish: str, *, detailed: bool) -> Exit:
    """What an outcome means to the shell.

    Args:
        outcome: A command's last word.
        severity: The outcome's own; empty if it is the usual one.
        wish: What was asked for: `start`, `follow`, `cancel`, `cancel --keep` or `sweep`.
        detailed: Whether an ending that was wished for keeps a code of its own.
    """
    if outcome in ON_THE_WAY:  # A sweep starts no chain, so nobody tries again.
        return Exit.LEFT if outcome == "DELETE_BLOCKED" and wish == "sweep" else Exit.AS_WISHED
    if is_gone(outcome, severity, wish):
        return Exit.FAILED
    code = OUTCOMES.get(outcome, Exit.GAVE_UP)
    return Exit.AS_WISHED if not detailed and code in _WISHED.get(wish, ()) else code


def is_gone(outcome: str, severity: str, wish: str) -> bool:
    """Whether a backup was complete and was not there when somebody looked: the outcome's severity says so."""
    if outcome == "COMPLETED_KEPT":  # One that is there and that its own command keeps is worth an INFO only.
        return wish == "cancel --keep" and severity != "INFO"
    return outcome in {"COMPLETED", "COMPLETED_DESPITE_CANCEL"} and bool(severity)


class CliError(click.ClickException):
    """Something expected went wrong: what, with which value, and what to type instead."""

    def __init__(self, message: str, hint: str = "", exit_code: Exit = Exit.USAGE) -> None:
        super().__init__(message if not hint else f"{message}\n{hint}")
        self.exit = exit_code


def words(error: Exception) -> tuple[str, str]:
    """The name and the text of an error of Google's clients."""
    # What was repeated until the time was up says more than that it was.
    error = getattr(error, "cause", None) or error
    return type(error).__name__, str(getattr(error, "message", "") or error)


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """A question that names what comes closest to a text; empty if nothing does."""
    names = sorted(known)
    near = difflib.get_close_matches(text, names, n=3, cutoff=0.6)
    near = near or [name for name in names if name.startswith(text) or text in name][:3]
    return f"Did you mean {' or '.join(f'`{name}`' for name in near)}?" if near else ""
