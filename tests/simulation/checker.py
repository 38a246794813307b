"""The claims, each an invariant with a name; what breaks one is a finding.

The checker is no part of the simulation: it gets the record when all is over, and judges from what the services saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.simulation import bounds, endings, rights, truth
from tests.simulation.facts import Facts
from tests.simulation.record import Record


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not have happened.

    Attributes:
        invariant: Which claim it breaks.
        text: What happened.
    """

    invariant: str
    text: str


INVARIANTS: dict[str, Callable[[Facts], Iterator[str]]] = {
    "1a what was complete before anybody asked is deleted by no command that doesn't name it": (
        rights.only_what_was_unwanted
    ),
    "1b nothing is stopped or deleted but what the command means": rights.only_what_was_meant,
    "1c every deletion has its line in the log": rights.every_deletion_is_logged,
    "2 everything ends within the bound once faults stop": endings.all_in_time,
    "3a every command has its last word": endings.no_silence,
    "3b a command has one last word": endings.one_last_word,
    "3c what is told is true": truth.true_words,
    "3d the same word has the same id": endings.same_ids,
    "4 a chain never forks": bounds.no_forks,
    "5a calls, looks and messages are bounded": bounds.bounded,
    "5b nothing impossible is asked of Spanner": bounds.possible,
    "6a a start makes at most one backup": rights.one_backup_per_start,
    "6b nobody without the right, and no dry run, changes anything": rights.only_by_right,
}


def findings(record: Record) -> list[Finding]:
    """Everything that a history did wrong; empty if nothing."""
    facts = Facts(record)
    return [Finding(name, text) for name, check in INVARIANTS.items() for text in check(facts)]
