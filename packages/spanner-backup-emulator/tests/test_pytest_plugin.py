"""The fixtures, used as a stranger uses them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import spanner
from google.cloud.pubsub_v1 import PublisherClient
from google.cloud.tasks_v2 import CloudTasksClient
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport
from google.pubsub_v1 import PublisherClient as GapicPublisher
from google.pubsub_v1 import PubsubMessage

from spanner_backup_emulator.pubsub.server import PubSubEmulator
from spanner_backup_emulator.quota import WINDOW, Quota
from spanner_backup_emulator.serving import wall_clock
from spanner_backup_emulator.spanner.server import SpannerEmulator
from spanner_backup_emulator.tasks.server import TasksEmulator

PACKAGE = Path(__file__).parents[1]
FRESH_S_MAX = 60.0
"""To install everything and to pass: nobody waits longer before they know whether it's of use."""

ORDERS, SLOW = (f"projects/p/instances/i/databases/{name}" for name in ("orders", "slow"))
QUEUE = "projects/p/locations/l/queues/q"

pytestmark = pytest.mark.spanner_plan(f"{SLOW}=3h,cancel=never")


def _create(database: str) -> Any:  # noqa: ANN401 Google's class has no types
    client: Any = spanner.Client(project="p")
    with closing(client):
        instance = client.instance("i")
        expire_time = wall_clock() + timedelta(days=1)
        backup = instance.backup(f"of-{database}", database=instance.database(database), expire_time=expire_time)
        return backup.create()


@pytest.mark.usefixtures("spanner_emulator")
def test_a_backup_takes_no_time_and_its_plan_takes_what_it_says() -> None:
    """Google's client finds the emulator by itself; the module's mark is about one of the databases."""
    assert _create("orders").done()
    assert not _create("slow").done()


@pytest.mark.spanner_plan("2h", "fail=INTERNAL")
def test_a_plan_without_a_name_is_everybodys(spanner_emulator: SpannerEmulator) -> None:
    """Each mark adds to the ones before it."""
    operation = _create("orders")
    spanner_emulator.finish(operation.operation.name)

    with pytest.raises(exceptions.InternalServerError):
        operation.result()


@pytest.mark.spanner_emulator(databases=[ORDERS], strict=True)
@pytest.mark.spanner_fault("CreateBackup", "PERMISSION_DENIED", message="Not you.", skip=1)
def test_a_marker_sets_and_breaks_what_it_says(spanner_emulator: SpannerEmulator) -> None:
    """Other databases are unknown, and the second call fails."""
    with pytest.raises(exceptions.NotFound):
        _create("nowhere")
    with pytest.raises(exceptions.PermissionDenied, match="Not you"):
        _create("orders")
    assert spanner_emulator.faults.calls["CreateBackup"] == 2


@pytest.mark.spanner_emulator(quota=True)
def test_a_quota_refuses_what_is_more_than_five_calls_a_second_over_a_hundred_seconds(
    spanner_emulator: SpannerEmulator,
) -> None:
    """Of each project; what it is full of falls out of the window again, and a refused call doesn't count."""
    quota = spanner_emulator.faults
    assert isinstance(quota, Quota)
    now = wall_clock()
    quota._clock = lambda: now  # noqa: SLF001 the fixture's own is the wall's
    for _ in range(500):
        quota.check("GetBackup", "before", f"{ORDERS}x")

    with pytest.raises(exceptions.ResourceExhausted, match="'Administrative requests'"):
        _create("orders")
    quota.check("GetBackup", "before", "projects/other/instances/i")
    now += WINDOW
    assert _create("orders").done()
    assert (quota.refused, quota.most) == (1, 500)


@pytest.mark.pubsub_fault("Publish", "BARE", when="after")
@pytest.mark.cloud_tasks_emulator(queues=[QUEUE])
def test_the_other_two_are_found_and_broken_as_well(
    pubsub_emulator: PubSubEmulator, cloud_tasks_emulator: TasksEmulator
) -> None:
    """A message is published although the answer says nothing, and the queue is there."""
    topic = pubsub_emulator.create_topic("projects/p/topics/news")
    client: Any = PublisherClient()
    with closing(client.transport), grpc.insecure_channel(cloud_tasks_emulator.address) as channel:
        answer = GapicPublisher.publish(client, topic=topic, messages=[PubsubMessage(data=b"x")])
        queue = CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel)).get_queue(name=QUEUE)

    assert (list(answer.message_ids), len(pubsub_emulator.published(topic)), queue.name) == ([], 1, QUEUE)


def test_a_run_without_the_fixtures_imports_no_emulator() -> None:
    """Otherwise every start of pytest would be slower wherever the package is installed."""
    code = "import sys, spanner_backup_emulator.pytest_plugin as _; sys.exit('grpc' in sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True)


def worked_s() -> float:
    """How long this process's children have worked, others that had the machine meanwhile left out."""
    times = os.times()
    return times.children_user + times.children_system


def test_the_readme_works_in_a_fresh_environment_within_a_minute(tmp_path: Path) -> None:
    """Installed from this folder with all that it needs, its first test passes; a machine at rest takes a minute."""
    copytree(PACKAGE, tmp_path / "package", ignore=ignore_patterns("tests", "official", "*.egg-info"))
    (shown,) = re.findall(
        r"```python\n(.*?)```", (PACKAGE / "README.md").read_text(encoding="utf-8").partition("##")[0], re.DOTALL
    )
    (tmp_path / "test_shown.py").write_text(shown, encoding="utf-8")
    venv.create(tmp_path / "fresh", with_pip=True)
    python = tmp_path / "fresh" / "bin" / "python"
    begun_s = worked_s()
    commands: tuple[list[str | Path], ...] = (
        [python, "-m", "pip", "install", "--quiet", tmp_path / "package", "pytest"],
        [python, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", tmp_path / "test_shown.py"],
    )
    for command in commands:
        environment = os.environ | {"PYTHONPATH": ""}
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=tmp_path)

        assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert worked_s() - begun_s < FRESH_S_MAX
