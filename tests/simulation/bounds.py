"""Claims about how much happens: chains, calls, looks, messages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from spanner_backup_emulator.errors import Code
from tests.simulation.facts import Facts, FollowUp

CALLS_MAX = 14
"""Calls to Spanner of a delivery that is no sweep, those that come to nothing included: a list, 2 to learn who made
each of up to 5 candidates, and up to 3 to act."""

SWEEP_CALLS_MAX = 26
"""Of a sweep: a list, and 2 for each of the 12 operations that one sweep deals with."""

STEPS_MAX = 700
"""Looks of a chain that runs for its whole 3 days at an operation that hangs; most end after fewer than 20."""

TOLD_MAX = 6
"""Different outcomes of one command about one operation: started, cancel requested, blocked, given up, and the end that
a late duplicate finds after that."""


def no_forks(facts: Facts) -> Iterator[str]:
    """At no time do two follow-ups wait for one operation and command, as long as the queue remembers names."""
    chains: defaultdict[tuple[str, str], list[FollowUp]] = defaultdict(list)
    for follow_up in facts.follow_ups:
        chains[follow_up.command, follow_up.about].append(follow_up)
    for (command, about), chain in chains.items():
        if not about.startswith("poll "):
            continue  # What starts operations may be put back more than once; all of it ends in one chain of looks.
        names = [follow_up.task.name for follow_up in chain]
        if facts.record.forgotten.intersection(names) or len(set(names)) < len(names):
            continue  # The queue has forgotten a name; a day later it may.
        for earlier, later in pairwise(chain):
            if earlier.end is None or later.task.at < earlier.end:
                yield f"steps {earlier.step} and {later.step} of the chain of {command} ({about}) waited at once"


def possible(facts: Facts) -> Iterator[str]:
    """Spanner never says that a call makes no sense, such as one for an expiry in the past."""
    for call, code in facts.answers:
        if code is Code.INVALID_ARGUMENT:
            yield f"{call.method} of {call.resource} was refused with {code.name}"


def bounded(facts: Facts) -> Iterator[str]:
    """No delivery makes more calls than it may, no chain has more looks, no command tells more."""
    for delivery in facts.record.deliveries:
        if delivery.spanner_calls > CALLS_MAX:
            command = facts.commands.get(facts.command_of(delivery))
            if command is None or command.action != "sweep" or delivery.spanner_calls > SWEEP_CALLS_MAX:
                yield f"delivery {delivery.number} made {delivery.spanner_calls} calls"
    for follow_up in facts.follow_ups:
        if follow_up.step > STEPS_MAX:
            yield f"the chain of {follow_up.command} ({follow_up.about}) came to step {follow_up.step}"
            break
    told: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for outcome in facts.outcomes:
        told[outcome.command, outcome.operation].add(outcome.id)
    for (command_id, operation), ids in told.items():
        if operation and len(ids) > TOLD_MAX:
            yield f"{command_id} told {len(ids)} different outcomes about {operation}"
