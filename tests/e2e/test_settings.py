"""What an operator chose: limits that are kept, and settings that are wrong and named."""

from __future__ import annotations

from datetime import timedelta

import pytest

from demo.stack import Function
from spanner_backup_emulator.serving import free_port
from spanner_backup_emulator.spanner.history import What
from tests.e2e.lab import DEAF, IMPATIENT, STUBBORN, Deployment, Lab, lifetime, played, quick, seconds
from tests.waiting import wait_until

GOOD = {
    "BACKSTOP_FOLLOW_UPS_TOPIC": "projects/orders/topics/follow-ups",
    "BACKSTOP_RESULTS_TOPIC": "projects/orders/topics/results",
    "BACKSTOP_TASKS_QUEUE": "projects/orders/locations/europe-west1/queues/backstop",
    "CLOUD_TASKS_EMULATOR_HOST": "127.0.0.1:1",
}
"""All that a function needs to start."""

QUIET = Deployment("quiet", {"BACKSTOP_RETENTION": "2d", "BACKSTOP_RESULTS_TOPIC": ""})
KEEPING = Deployment("keeping", {"BACKSTOP_ALLOW_DELETE": "false"})


def test_a_wrong_setting_keeps_the_function_from_starting() -> None:
    """A deployment that is set up wrongly never serves, and says which variable and what it found there."""
    function = Function(free_port(), {**GOOD, "BACKSTOP_RETENTION": "5h"})

    with pytest.raises(RuntimeError, match="the function did not start"):
        function.start()
    (error,) = (line["message"] for line in function.lines if line["message"].startswith("ValueError"))
    assert error.startswith("ValueError: BACKSTOP_RETENTION: ")
    assert error.endswith("must be 6h to 366d; found '5h'")


@played(QUIET, embedded=True)
def test_what_a_command_does_not_say_the_settings_do(lab: Lab) -> None:
    """The default retention is the setting's; and without a results topic the log line alone tells."""
    message_id = lab.publish("start", database=lab.database(quick()), backup_id="nightly")

    _wait_for_line(lab, "STARTED")
    backup = lab.backup(f"{lab.instance}/backups/nightly")
    assert backup is not None
    assert abs(lifetime(backup) - timedelta(days=2)) < seconds(10)
    _wait_for_line(lab, "COMPLETED")
    assert lab.told(message_id) == []


def _wait_for_line(lab: Lab, outcome: str) -> None:
    wait_until(lambda: any(line.get("outcome") == outcome for line in list(lab.stack.function.lines)))


@played(KEEPING, embedded=True)
def test_a_deployment_that_may_not_delete_keeps_everything(lab: Lab) -> None:
    """Neither a cancel that loses nor a sweep deletes, and both say why."""
    message_id = lab.publish("start", database=lab.database(STUBBORN), cancel_after="0s")

    requested, kept = lab.end_events(message_id)[1:]
    assert (requested.outcome, kept.outcome) == ("CANCEL_REQUESTED", "COMPLETED_KEPT")
    assert "BACKSTOP_ALLOW_DELETE" in kept.data["detail"]
    (swept,) = lab.end_events(lab.publish("sweep", instance=lab.instance, if_created="delete"))
    assert swept.outcome == "COMPLETED_KEPT"
    assert "BACKSTOP_ALLOW_DELETE" in swept.data["detail"]
    assert lab.calls("DeleteBackup") == []
    assert len(lab.left_behind()) == 1


@played(IMPATIENT)
def test_a_chain_that_finds_no_end_is_given_up(lab: Lab) -> None:
    """Past the give-up time a person is asked for, with the last progress seen; the backup is let be."""
    message_id = lab.publish("start", database=lab.database(quick(duration=seconds(60))))

    started, gave_up = lab.end_events(message_id)
    assert (started.outcome, gave_up.outcome) == ("STARTED", "GAVE_UP")
    assert "it has not ended; progress was" in gave_up.data["detail"]
    assert gave_up.data["steps"] == len(lab.follow_ups(message_id))
    assert lab.calls("CancelOperation") == []
    assert lab.left_behind() == [started.data["backup"]]


@played(IMPATIENT)
def test_a_backup_that_cannot_be_deleted_in_time_expires_early(lab: Lab) -> None:
    """A restore holds it for longer than the chain lasts: its expiry is brought forward as far as Spanner allows."""
    start_id = lab.publish("start", database=lab.database(quick()), retention="30d")
    assert lab.ends(start_id) == ["STARTED", "COMPLETED"]
    (backup,) = lab.left_behind()
    lab.stack.spanner.begin_restore(backup, f"{lab.instance}/databases/restored", seconds(120))
    cancel_id = lab.publish("cancel", backup=backup)

    blocked, gave_up = lab.end_events(cancel_id)
    assert (blocked.outcome, gave_up.outcome) == ("DELETE_BLOCKED", "GAVE_UP")
    assert gave_up.data["error"]["code"] == "FAILED_PRECONDITION"
    assert "its expiry was brought forward to" in gave_up.data["detail"]
    kept = lab.backup(backup)
    assert kept is not None
    assert timedelta(hours=6) < lifetime(kept) < timedelta(hours=6, minutes=10)
    assert len(lab.history(What.EXPIRY_CHANGED)) == 1
    assert lab.history(What.BACKUP_DELETED) == []


@played(IMPATIENT)
def test_a_cancel_that_spanner_loses_is_given_up(lab: Lab) -> None:
    """A cancel that was accepted and has no effect, on a backup that has no end, ends in GAVE_UP all the same."""
    message_id, operation, _ = lab.started(DEAF)
    cancel_id = lab.publish("cancel", operation=operation)

    assert lab.ends(cancel_id) == ["CANCEL_REQUESTED", "GAVE_UP"]
    assert lab.ends(message_id) == ["STARTED", "GAVE_UP"]
    assert len(lab.calls("CancelOperation")) == 2  # once more at the end
