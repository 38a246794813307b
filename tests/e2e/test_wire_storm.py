"""Everything at once: many lives, all threads, duplicates, faults of every method, instances that die. Then it is calm.

`WIRE_SEED` chooses another plan of faults; what threads make of it differs from run to run. With `-s` it prints how
much went wrong.
"""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta
from random import Random

from spanner_backup_emulator.faults import Faults, Trouble
from tests.e2e import storm
from tests.e2e.lab import Deployment, Lab, played
from tests.e2e.storm import FATES, SPANNER
from tests.e2e.wire import CODES
from tests.e2e.wire_lives import PUSH_AGAIN, PUSH_DIED, PUSH_OK, pushes
from tests.e2e.wire_record import record_of
from tests.simulation.checker import findings
from tests.simulation.history import INSTANCE
from tests.waiting import wait_until

SEED = int(os.environ.get("WIRE_SEED", "2"))

PAUSE_S_MAX = 0.15
"""Between two commands, so that some lives begin as others end."""

AFTERWARDS_S = 3.0
"""How long there are faults after the last command; most lives last 2 to 5 s without them."""

DEATHS = (1 / 3, 2 / 3)
"""When an instance is killed, as parts of the commands."""

SLACK = timedelta(seconds=10)
"""How long a call may wait in Spanner's socket after the instance that made it has died."""

METHODS = (*SPANNER, "CreateTask", "Publish")

STORMY = Deployment("stormy", {"THREADS": "16"})
"""As many threads as Pub/Sub pushes at once."""


@played(STORMY, embedded=True)
def test_a_storm_of_faults_passes_and_leaves_nothing_behind(lab: Lab) -> None:
    """Every command has its outcome, what was to go is gone, and the simulation's checker finds nothing."""
    lab.instance = INSTANCE
    random = Random(SEED)
    lives = [f"{fate}-{number}" for fate, what in FATES.items() for number in range(what.count)]
    random.shuffle(lives)
    _have_others_start(lab, lives)
    began_at = lab.stack.spanner.now()
    _plan(lab, random)
    message_ids = _publish(lab, lives, random)
    time.sleep(AFTERWARDS_S)
    wait_until(lambda: all(_count_wrong(lab, method) for method in METHODS))
    healed_at, healed_s = _heal(lab), time.monotonic()

    wait_until(lambda: _is_over(lab))
    print(f"over {time.monotonic() - healed_s:.1f} s after the last fault")
    wait_until(lambda: all(_last_words(lab, message_ids[life]) for life in lives))
    assert findings(record_of(lab.stack, began_at, healed_at, SLACK)) == []
    for life in lives:
        _judge(lab, life, message_ids[life])
    assert {push.status for push in pushes(lab.stack)} <= {PUSH_OK, PUSH_AGAIN, PUSH_DIED}
    _check_counts(lab)


def _have_others_start(lab: Lab, lives: list[str]) -> None:
    """Has people and schedules start what is theirs, before there are any faults."""
    for life in lives:
        fate = FATES[life.partition("-")[0]]
        database = lab.database(fate.plan, life)
        if fate.theirs == "person":
            lab.foreign(fate.plan, f"their-{life}", life)
        elif fate.theirs == "schedule":
            lab.stack.spanner.start_scheduled_backup(database, f"{database}/backupSchedules/nightly", f"by-plan-{life}")


def _plan(lab: Lab, random: Random) -> None:
    """Plans faults of every method, and that every second message comes twice."""
    rates = {method: random.uniform(storm.RATE_MIN, storm.RATE_MAX) for method in METHODS}
    with lab.stack.spanner.lock:
        for method in SPANNER:
            lab.stack.spanner.faults.plan(*storm.faults(random, method, rates[method]))
    with lab.stack.tasks.endpoint.lock:
        lab.stack.tasks.faults.plan(*storm.faults(random, "CreateTask", rates["CreateTask"]))
    pubsub = lab.stack.pubsub
    assert pubsub is not None
    for topic in (lab.stack.results, lab.stack.follow_ups):
        pubsub.faults.plan(*storm.faults(random, "Publish", rates["Publish"], topic))
    pubsub.duplicate_next(lab.stack.commands, 25)
    pubsub.duplicate_next(lab.stack.follow_ups, 100, after=timedelta(seconds=random.uniform(0.0, 2.0)))


def _publish(lab: Lab, lives: list[str], random: Random) -> dict[str, str]:
    """Publishes each life's command, and has instances die between them."""
    deaths = {int(part * len(lives)) for part in DEATHS}
    message_ids = {}
    for number, life in enumerate(lives):
        command = FATES[life.partition("-")[0]].command
        message_ids[life] = lab.stack.publish({**command, "database": f"{INSTANCE}/databases/{life}"})
        time.sleep(random.uniform(0.0, PAUSE_S_MAX))
        if number in deaths:
            lab.stack.function.kill()
            lab.stack.function.start()
    return message_ids


def _faults(lab: Lab) -> list[Faults]:
    assert lab.stack.pubsub is not None
    return [lab.stack.spanner.faults, lab.stack.tasks.faults, lab.stack.pubsub.faults]


def _heal(lab: Lab) -> datetime:
    with lab.stack.spanner.lock, lab.stack.tasks.endpoint.lock:
        for faults in _faults(lab):
            faults.clear()
        return lab.stack.spanner.now()


def _is_over(lab: Lab) -> bool:
    """Whether nothing waits and nothing is under way; a message that becomes a task meanwhile is seen in the end."""
    assert lab.stack.pubsub is not None
    delivered = lab.stack.pubsub.undelivered_count() == 0
    return delivered and not lab.stack.tasks.pending() and lab.stack.pubsub.undelivered_count() == 0


def _last_words(lab: Lab, message_id: str) -> set[str]:
    return {event.outcome for event in lab.told(message_id)} - {"STARTED", "CANCEL_REQUESTED"}


def _judge(lab: Lab, life: str, message_id: str) -> None:
    """A life ended as it must, and left what it must; a start may have been turned down for its role before that."""
    fate = FATES[life.partition("-")[0]]
    words = _last_words(lab, message_id)
    left = [backup for backup in lab.left_behind() if f"/backups/{life}-" in backup or backup.endswith(f"-{life}")]
    if words == {"REJECTED"}:
        (rejected,) = {event.data["error"]["code"] for event in lab.told(message_id) if "error" in event.data} or {""}
        assert rejected == "PERMISSION_DENIED" or "REJECTED" in fate.ends
        assert len(left) == bool(fate.theirs)
        return
    assert words - {"REJECTED"} <= fate.ends, life
    assert len(left) == fate.kept, life


def _count_wrong(lab: Lab, method: str) -> int:
    """How many calls of a method went wrong so far."""
    return sum(count for faults in _faults(lab) for (name, _, _), count in faults.injected.items() if name == method)


def _check_counts(lab: Lab) -> None:
    """Calls went wrong in each way, and instances died with deliveries in hand."""
    for method in METHODS:
        calls = sum(faults.calls[method] for faults in _faults(lab))
        print(f"{method}: {_count_wrong(lab, method)} of {calls} calls went wrong")
    died = sum(push.status == PUSH_DIED for push in pushes(lab.stack))
    print(f"{died} of {len(pushes(lab.stack))} deliveries met an instance that died, or none")
    assert {kind for faults in _faults(lab) for _, kind, _ in faults.injected} >= {*CODES, Trouble.CUT}
    assert died
