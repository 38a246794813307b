"""Backups and operations over REST, as `gcloud` asks for them."""

from __future__ import annotations

import json
import urllib.error
from datetime import timedelta

import pytest
from spanner_world import DAY, HOUR, INSTANCE, NIGHTLY, ORDERS, START, Clock, ask

from spanner_backup_emulator.spanner.server import SpannerEmulator

EXPIRE = f"{START + 10 * DAY:%Y-%m-%dT%H:%M:%SZ}"


def _refused(emulator: SpannerEmulator, verb: str, path: str, body: object = None) -> tuple[int, str, str]:
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(emulator, verb, path, body)
    with caught.value as answer:
        error = json.load(answer)["error"]
    return error["code"], error["status"], error["message"]


def _created(emulator: SpannerEmulator, backup_id: str = "nightly") -> str:
    body = {"database": ORDERS, "expireTime": EXPIRE}
    operation = ask(emulator, "POST", f"{INSTANCE}/backups?backupId={backup_id}&alt=json", body)
    return str(operation["name"])


def test_a_backup_is_made_followed_read_and_deleted(emulator: SpannerEmulator, clock: Clock) -> None:
    """What gcloud does without --async: it starts the backup and reads its operation until that is done."""
    operation = _created(emulator)
    running = ask(emulator, "GET", operation)
    clock.tick(HOUR)
    done = ask(emulator, "GET", operation)
    backup = ask(emulator, "GET", NIGHTLY)
    deleted = ask(emulator, "DELETE", NIGHTLY)

    assert "done" not in running
    assert running["metadata"]["@type"].endswith("CreateBackupMetadata")
    assert (done["done"], done["response"]["state"]) == (True, "READY")
    assert (backup["database"], backup["expireTime"]) == (ORDERS, EXPIRE)
    assert deleted == {}
    assert ask(emulator, "GET", f"{INSTANCE}/backups") == {}


def test_operations_are_listed_and_cancelled(emulator: SpannerEmulator) -> None:
    """By the backup, as `gcloud spanner operations list --backup` does, and by the instance."""
    operation = _created(emulator)
    asked = ask(emulator, "POST", f"{operation}:cancel", {})
    by_backup = ask(emulator, "GET", f"{NIGHTLY}/operations")["operations"]
    by_instance = ask(emulator, "GET", f"{INSTANCE}/backupOperations?pageSize=1&filter=done:true")["operations"]

    assert asked == {}
    assert [one["name"] for one in by_backup] == [one["name"] for one in by_instance] == [operation]
    assert by_backup[0]["error"]["code"] == 1


def test_a_backup_is_copied_updated_and_restored(emulator: SpannerEmulator, clock: Clock) -> None:
    """The calls with a verb, and the one with a mask, in either spelling of its path."""
    _created(emulator)
    clock.tick(HOUR)
    body = {"backupId": "copy", "sourceBackup": NIGHTLY, "expireTime": EXPIRE}
    ask(emulator, "POST", f"{INSTANCE}/backups:copy", body)
    ask(emulator, "POST", f"{INSTANCE}/databases:restore", {"databaseId": "restored", "backup": NIGHTLY})
    later = f"{START + 20 * DAY:%Y-%m-%dT%H:%M:%SZ}"
    for mask in ("expireTime", "expire_time"):
        updated = ask(emulator, "PATCH", f"{NIGHTLY}?updateMask={mask}", {"expireTime": later})
    clock.tick(HOUR + timedelta(minutes=1))
    restored = ask(emulator, "GET", f"{INSTANCE}/databases/restored")

    assert updated["expireTime"] == later
    assert ask(emulator, "GET", f"{INSTANCE}/backups/copy")["state"] == "READY"
    assert restored["restoreInfo"]["backupInfo"]["sourceDatabase"] == ORDERS
    assert len(ask(emulator, "GET", f"{INSTANCE}/databaseOperations")["operations"]) == 2
    assert len(ask(emulator, "GET", f"{INSTANCE}/databases")["databases"]) == 2


def test_a_missing_backup_is_not_found(emulator: SpannerEmulator) -> None:
    """Through a gateway that knew not the details of the refusal, `gcloud spanner backups describe` met a 500."""
    assert _refused(emulator, "GET", NIGHTLY) == (404, "NOT_FOUND", f"Backup not found: {NIGHTLY}")


@pytest.mark.parametrize("project", ["example.com:my-proj", "example.com%3Amy-proj"])
def test_a_project_may_belong_to_a_domain(emulator: SpannerEmulator, project: str) -> None:
    """Its colon, written as it is or not, begins no verb."""
    name = NIGHTLY.replace("projects/p/", f"projects/{project}/")
    missing = NIGHTLY.replace("projects/p/", "projects/example.com:my-proj/")

    assert _refused(emulator, "GET", name) == (404, "NOT_FOUND", f"Backup not found: {missing}")


@pytest.mark.parametrize(
    ("verb", "path", "body", "status"),
    [
        ("GET", "projects/p/instancePartitions", None, 404),
        ("PUT", NIGHTLY, {}, 404),
        ("POST", f"{INSTANCE}/backups?backupId=b", [], 400),
        ("POST", f"{INSTANCE}/backups?backupId=b", {"colour": "red"}, 400),
        ("GET", f"{INSTANCE}/backups?colour=red", None, 400),
    ],
)
def test_what_is_no_such_call_is_refused(
    emulator: SpannerEmulator, verb: str, path: str, body: object, status: int
) -> None:
    """Unknown paths, unknown fields, and bodies that are no object."""
    assert _refused(emulator, verb, path, body)[0] == status
