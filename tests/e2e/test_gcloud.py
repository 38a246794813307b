"""What the README tells people to type works: a command published with `gcloud`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from tempfile import TemporaryDirectory

import pytest

from tests.e2e.lab import Lab, played, quick
from tests.waiting import WAIT_S_MAX, wait_until


@played(embedded=True)
def test_a_command_published_with_gcloud_is_carried_out(lab: Lab) -> None:
    """`gcloud pubsub topics publish` reaches the function through the embedded Pub/Sub's REST interface."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        assert not os.environ.get("CI"), "gcloud is not installed"
        pytest.skip("gcloud is not installed")
    with TemporaryDirectory() as configuration:
        _publish(gcloud, lab, configuration)
    wait_until(lambda: lab.left_behind() == [f"{lab.instance}/backups/by-hand"])


def _publish(gcloud: str, lab: Lab, configuration: str) -> None:
    command = {"action": "start", "database": lab.database(quick()), "backup_id": "by-hand"}
    environ = {
        "PATH": os.environ["PATH"],
        "CLOUDSDK_CONFIG": configuration,
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB": f"http://{lab.stack.pubsub_address}/",
    }
    done = subprocess.run(
        [gcloud, "pubsub", "topics", "publish", lab.stack.commands, f"--message={json.dumps(command)}"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=WAIT_S_MAX,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "messageIds:" in done.stdout
