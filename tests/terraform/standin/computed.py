"""What Google would fill in: the names, addresses and numbers that resources refer to each other by.

Only what the module uses. A plan that knows them can be checked without applying anything.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePath

from tests.terraform.standin.wire import Value

_EMAIL = "{account_id}@{project}.iam.gserviceaccount.com"

COMPUTED: Mapping[str, Mapping[str, str]] = {
    "google_cloud_tasks_queue": {"id": "projects/{project}/locations/{location}/queues/{name}"},
    "google_cloudfunctions2_function": {
        "id": "projects/{project}/locations/{location}/functions/{name}",
        "service_config.uri": "https://{name}-{number}.{location}.run.app",
    },
    "google_monitoring_alert_policy": {"name": "projects/{project}/alertPolicies/{display_name}"},
    "google_monitoring_notification_channel": {"id": "projects/{project}/notificationChannels/{display_name}"},
    "google_project": {"number": "{number}"},
    "google_project_iam_custom_role": dict.fromkeys(("id", "name"), "projects/{project}/roles/{role_id}"),
    "google_pubsub_subscription": {"id": "projects/{project}/subscriptions/{name}"},
    "google_pubsub_topic": {"id": "projects/{project}/topics/{name}"},
    "google_service_account": {
        "email": _EMAIL,
        "member": f"serviceAccount:{_EMAIL}",
        **dict.fromkeys(("id", "name"), f"projects/{{project}}/serviceAccounts/{_EMAIL}"),
    },
}
"""For each resource what is made of its own arguments, and of its project's number."""


def project_number(project: str) -> str:
    """A number that a project id always has."""
    return str(100_000_000_000 + zlib.crc32(project.encode()))


def computed(name: str, given: Mapping[str, Value]) -> dict[str, str]:
    """What Google would fill in, by its path.

    Raises:
        KeyError: One of the inputs isn't known yet.
    """
    texts = {key: text for key, text in given.items() if isinstance(text, str)}
    if "project" in texts or "project_id" in texts:
        texts["number"] = project_number(texts.get("project") or texts["project_id"])
    return {where: form.format_map(texts) for where, form in COMPUTED.get(name, {}).items()}


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
