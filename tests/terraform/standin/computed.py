"""What Google would fill in: the names, addresses and numbers that resources refer to each other by.

Only what the module uses. A plan that knows them can be checked without applying anything.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath

from tests.terraform.standin.wire import Value

Fill = Callable[[Mapping[str, str]], dict[str, Value]]


def _account(given: Mapping[str, str]) -> dict[str, Value]:
    email = f"{given['account_id']}@{given['project']}.iam.gserviceaccount.com"
    name = f"projects/{given['project']}/serviceAccounts/{email}"
    return {"email": email, "member": f"serviceAccount:{email}", "name": name, "id": name}


def _role(given: Mapping[str, str]) -> dict[str, Value]:
    name = f"projects/{given['project']}/roles/{given['role_id']}"
    return {"name": name, "id": name}


def _function(given: Mapping[str, str]) -> dict[str, Value]:
    return {
        "id": f"projects/{given['project']}/locations/{given['location']}/functions/{given['name']}",
        "service_config.uri": f"https://{given['name']}-{project_number(given['project'])}.{given['location']}.run.app",
    }


COMPUTED: dict[str, Fill] = {
    "google_cloud_tasks_queue": lambda g: {
        "id": f"projects/{g['project']}/locations/{g['location']}/queues/{g['name']}"
    },
    "google_cloudfunctions2_function": _function,
    "google_monitoring_alert_policy": lambda g: {
        "name": f"projects/{g['project']}/alertPolicies/{zlib.crc32(g['display_name'].encode())}"
    },
    "google_monitoring_notification_channel": lambda g: {
        "id": f"projects/{g['project']}/notificationChannels/{zlib.crc32(g['display_name'].encode())}"
    },
    "google_project": lambda g: {"number": project_number(g["project_id"])},
    "google_project_iam_custom_role": _role,
    "google_pubsub_subscription": lambda g: {"id": f"projects/{g['project']}/subscriptions/{g['name']}"},
    "google_pubsub_topic": lambda g: {"id": f"projects/{g['project']}/topics/{g['name']}"},
    "google_service_account": _account,
}


def project_number(project: str) -> str:
    """A number that a project id always has."""
    return str(100_000_000_000 + zlib.crc32(project.encode()))


def write_archive(config: Mapping[str, Value], directory: Path) -> None:
    """Does what the archive provider's archive_file does with `source` blocks, in a directory of its own choice.

    The real one starts where terraform was started; this one runs in the tests' process and can't know where that was.
    """
    target, sources = config["output_path"], config["source"]
    assert isinstance(target, str)
    assert isinstance(sources, list)
    with zipfile.ZipFile(directory / PurePath(target).name, "w", zipfile.ZIP_DEFLATED) as archive:
        for source in sources:
            assert isinstance(source, dict)
            archive.writestr(str(source["filename"]), str(source["content"]))
