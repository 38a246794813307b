"""Everything that can go wrong in a history, as data: one field for each fault, with its unit."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from random import Random

FORGED, FORGED_SOURCE = "claims to be a follow-up", "claims to come from the follow-ups' topic"
NO_TIME, EPOCH, FAR_FUTURE, NO_ID = "no publish time", "published in 1970", "published in 9999", "no message id"
ODD = (FORGED, FORGED_SOURCE, NO_TIME, EPOCH, FAR_FUTURE, NO_ID)
"""What can be wrong with a message that is otherwise a command: its attributes, its body, its envelope."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, and how often. A rate is a probability, 0 to 1, for each opportunity.

    Attributes:
        restamp_rate: A message arrives twice, the second time with another publish time, `restamp_s_max` later at most.
        restamp_s_max: Seconds.
        duplicate_rate: A message arrives twice, the second copy up to `duplicate_s_max` after the first.
        duplicate_s_max: Seconds. Pub/Sub promises no bound; hours are far beyond what anybody has seen.
        delay_rate: A message arrives late, and so behind later ones.
        delay_s_max: Seconds.
        poison_rate: The instance dies over a message at every attempt, until the message is a dead letter.
        twice_rate: A task is dispatched twice.
        publish_fails_rate: A task's publish is answered 503, and the queue tries again.
        forget_rate: A task's name is forgotten as soon as the task is done, a day too early.
        crash_before_rate: The instance dies before a call.
        crash_after_rate: The instance dies after a call's effect.
        crash_answer_rate: The instance dies between its work and its answer.
        unavailable_rate: A call fails with UNAVAILABLE, half of them after its effect; the three below likewise.
        deadline_rate: With DEADLINE_EXCEEDED.
        internal_rate: With INTERNAL.
        aborted_rate: With ABORTED.
        quota_rate: A call is refused with RESOURCE_EXHAUSTED.
        denied_rate: A call is refused with PERMISSION_DENIED, just once; people take roles away for a while.
        slow_rate: A call takes up to `slow_s_max`.
        slow_s_max: Seconds; all calls of a delivery together have 50.
        missing_rate: GetBackup says that a backup is not there that is; once for each backup.
        blurred_rate: GetBackup says a create_time that is a microsecond off.
        interleave_rate: Another delivery, and whatever people do meanwhile, is worked on in the middle of this one.
        function_skew_s: How far the function's clock is ahead of Spanner's, in seconds; negative: behind.
        pubsub_skew_s: How far Pub/Sub's clock is ahead of Spanner's, in seconds.
        fail_rate: A backup ends with an error of Spanner's.
        stall_rate: A backup takes weeks.
        odd_progress_rate: Its progress sticks, jumps or goes back.
        cancel_slow_rate: A cancel takes minutes to hours to take hold, so the backup may win.
        cancel_lost_rate: A cancel is accepted and has no effect.
        leftover_rate: A cancelled backup can still be seen for minutes after its operation ended.
    """

    restamp_rate: float = 0.0
    restamp_s_max: float = 3600.0
    duplicate_rate: float = 0.0
    duplicate_s_max: float = 6 * 3600.0
    delay_rate: float = 0.0
    delay_s_max: float = 3 * 3600.0
    poison_rate: float = 0.0
    twice_rate: float = 0.0
    publish_fails_rate: float = 0.0
    forget_rate: float = 0.0
    crash_before_rate: float = 0.0
    crash_after_rate: float = 0.0
    crash_answer_rate: float = 0.0
    unavailable_rate: float = 0.0
    deadline_rate: float = 0.0
    internal_rate: float = 0.0
    aborted_rate: float = 0.0
    quota_rate: float = 0.0
    denied_rate: float = 0.0
    slow_rate: float = 0.0
    slow_s_max: float = 40.0
    missing_rate: float = 0.0
    blurred_rate: float = 0.0
    interleave_rate: float = 0.0
    function_skew_s: float = 0.0
    pubsub_skew_s: float = 0.0
    fail_rate: float = 0.0
    stall_rate: float = 0.0
    odd_progress_rate: float = 0.0
    cancel_slow_rate: float = 0.0
    cancel_lost_rate: float = 0.0
    leftover_rate: float = 0.0


NONE = Faults()

_ENABLED_PART = 0.4
"""How many of the faults a history has; all of them at once hide each other."""

_RATES = (0.01, 0.05, 0.25)
"""Rare faults let a history get far, frequent ones meet each other."""

_POISON_PART = 0.1
"""A dead letter ends a chain, so one is worth less than another fault."""

PUBSUB_SKEW_S_MAX = 5.0
"""Google's own services agree to well within this; the function trusts them to `CLOCK_MARGIN`, 10 s."""

FUNCTION_SKEW_S_MAX = 240.0
"""An instance's clock may be minutes off after it was frozen."""

RATE_NAMES = tuple(field.name for field in fields(Faults) if field.name.endswith("_rate"))


def swarm(random: Random) -> Faults:
    """The faults of one history: some switched off, the others with very uneven rates."""
    rates = {name: random.choice(_RATES) if random.random() < _ENABLED_PART else 0.0 for name in RATE_NAMES}
    rates["poison_rate"] *= _POISON_PART
    faults = Faults(**rates)
    if random.random() < _ENABLED_PART:
        skew_s = random.choice((1.0, 20.0, FUNCTION_SKEW_S_MAX)) * random.uniform(-1, 1)
        faults = replace(faults, function_skew_s=round(skew_s, 3))
    if random.random() < _ENABLED_PART:
        faults = replace(faults, pubsub_skew_s=round(random.uniform(-PUBSUB_SKEW_S_MAX, PUBSUB_SKEW_S_MAX), 3))
    return faults


_TRANSIENT = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "ABORTED")

COUNTED = (
    *(f"{code} before" for code in _TRANSIENT),
    *(f"{code} after" for code in _TRANSIENT),
    "RESOURCE_EXHAUSTED before",
    "PERMISSION_DENIED before",
    "role taken away",
    "crash before",
    "crash after",
    "crash before the answer",
    "slow",
    "time used up",
    "interleave",
    "duplicate",
    "duplicate, hours late",
    "restamp",
    "a backup was not found once",
    "an operation was not found once",
    "a create_time was a microsecond off",
    *(f"message: {odd}" for odd in ODD),
    "message: an id of another topic",
    "message: overtaken",
    "delay",
    "reordering",
    "redelivery",
    "dead letter",
    "twice",
    "publish fails",
    "forget",
    "task purged",
    "function's clock is off",
    "Pub/Sub's clock is off",
    "a backup failed",
    "a backup hung",
    "a cancel was slow",
    "a cancel was lost",
    "a cancelled backup was still to be seen",
    "progress stuck, jumped or went back",
    "a delete was blocked",
    "a cancel was refused as too late",
    *(
        f"person: {verb}"
        for verb in (
            "create", "cancel", "delete", "recreate", "restore", "copy", "schedule", "extend", "obscure",
            "purge", "pause", "resume", "deny",
        )
    ),
)  # fmt: skip
"""Everything that a run counts where it takes effect; a run of CI in which one of them is zero proves nothing of it."""
