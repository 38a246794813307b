"""What people and other tools do: they publish commands, and they touch Spanner and the queue themselves."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from spanner_backup_emulator.errors import ApiError
from spanner_backup_emulator.spanner.history import What
from spanner_backup_emulator.spanner.messages import pb
from spanner_backup_emulator.tasks.messages import pb as wire
from tests.simulation.envelopes import event_of
from tests.simulation.faults import FORGED_SOURCE
from tests.simulation.history import (
    COMMANDS,
    INSTANCE,
    MORE_COMMANDS,
    QUEUE,
    Person,
    Publish,
    backup_name,
    database_name,
)
from tests.support.ports import create_request, update_request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spanner_backup_emulator.messages import Message
    from tests.simulation.history import Step
    from tests.simulation.world import World

NO_OPERATION = f"{backup_name('no-such-backup')}/operations/_auto_op_1"

PERSON_RETENTION = timedelta(days=10)


def act(world: World, number: int, step: Step) -> None:
    """Carries out one step."""
    if isinstance(step, Publish):
        _publish(world, number, step)
        return
    try:
        _touch(world, step)
    except ApiError:
        return
    world.record.counts[f"person: {step.verb}"] += 1


def _publish(world: World, number: int, step: Publish) -> None:
    data = step.raw or json.dumps({key: _meant(world, key, value) for key, value in step.body.items()}).encode()
    if step.odd == FORGED_SOURCE:
        data = event_of(data)
    topic = MORE_COMMANDS if step.twin and world.use_id_again(MORE_COMMANDS) else COMMANDS
    world.publish_command(number, data, topic=topic, odd=step.odd, late_s=step.late_s)
    counts = world.record.counts
    counts["message: an id of another topic"] += topic == MORE_COMMANDS
    counts["message: overtaken"] += step.late_s > 0
    if step.odd:
        counts[f"message: {step.odd}"] += 1


def _meant(world: World, key: str, value: object) -> object:
    """Puts the name of an operation, or of its backup, where `@n` stands."""
    if not isinstance(value, str) or not value.startswith("@"):
        return value
    names = [event.operation for event in world.spanner.history if event.what is What.BACKUP_STARTED]
    name = names[int(value[1:]) % len(names)] if names else NO_OPERATION
    return name if key == "operation" else name.partition("/operations/")[0]


def _touch(world: World, step: Person) -> None:  # noqa: C901, PLR0912 one line for each thing that people do
    spanner, now = world.spanner, world.now
    length = timedelta(seconds=step.length_s)
    name = backup_name(step.name) if step.name else _last_started(world)
    backup_id = name.rpartition("/")[2]
    match step.verb:
        case "create":
            spanner.apply(now, create_request(database_name(step.database), backup_id, now + PERSON_RETENTION))
        case "obscure":
            asked = create_request(database_name(step.database), backup_id, now + PERSON_RETENTION)
            made = spanner.apply(now, asked)
            world.record.unreadable.add(made.name)
        case "muddle":
            world.record.unexplained.update(
                event.operation for event in spanner.history if event.what is What.BACKUP_STARTED
            )
        case "extend":
            spanner.apply(now, update_request(name, now + PERSON_RETENTION + length))
        case "schedule":
            database = database_name(step.database)
            if name in {backup.name for backup in _backups(world)}:
                return
            schedule = f"{database}/backupSchedules/daily"
            spanner.start_scheduled_backup(now, database, schedule, backup_id)
        case "cancel":
            running = [event.operation for event in spanner.history if event.what is What.BACKUP_STARTED]
            if running:
                spanner.apply(now, pb.CancelOperationRequest(name=running[-1]))
        case "delete":
            spanner.apply(now, pb.DeleteBackupRequest(name=name))
        case "recreate":
            spanner.apply(now, pb.DeleteBackupRequest(name=name))
            spanner.apply(now, create_request(database_name(step.database), backup_id, now + PERSON_RETENTION))
        case "restore":
            if any(backup.name == name and backup.state == pb.Backup.READY for backup in _backups(world)):
                spanner.begin_restore(now, name, database_name(f"restored{world.next_number()}"), length)
        case "copy":
            if any(backup.name == name and backup.state == pb.Backup.READY for backup in _backups(world)):
                spanner.begin_copy(now, name, backup_name(f"copy{world.next_number()}"), length)
        case "purge":
            dropped = [task.name for task in world.tasks.pending()]
            world.tasks.apply(world.tasks_now, wire.PurgeQueueRequest(name=QUEUE))
            world.record.purged.update(dict.fromkeys(dropped, now))
            world.record.counts["task purged"] += len(dropped)
        case "pause":
            world.tasks.apply(world.tasks_now, wire.PauseQueueRequest(name=QUEUE))
        case "resume":
            world.tasks.apply(world.tasks_now, wire.ResumeQueueRequest(name=QUEUE))
        case "deny":
            world.denied_until = now + length
        case _:
            raise ValueError(f"nobody knows how to {step.verb}")


def _backups(world: World) -> Iterable[Message]:
    found: Iterable[Message] = world.spanner.apply(world.now, pb.ListBackupsRequest(parent=INSTANCE)).backups
    return found


def _last_started(world: World) -> str:
    """The backup that was started last; one that nobody has, before the first."""
    started = [event.resource for event in world.spanner.history if event.what is What.BACKUP_STARTED]
    return started[-1] if started else backup_name("no-such-backup")
