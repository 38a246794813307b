"""Messages that are read by several threads from the first one on."""

from __future__ import annotations

import subprocess
import sys

READS = """
import json, sys, threading
from datetime import UTC, datetime
from backstop import messages

worked_out = []

def watch(frame, event, argument):
    if event == "call" and frame.f_code.co_name == "get_class_annotations":
        worked_out.append(frame.f_code.co_filename)

trigger = {"message_id": "1", "publish_time": "2026-11-22T02:00:00Z"}
operation = "projects/orders/instances/main/backups/nightly/operations/_auto_op_1"
encryption = {"type": "USE_DATABASE_ENCRYPTION"}
start = {"action": "start", "instance": "projects/orders/instances/main", "encryption": encryption}
look = {"kind": "look", "step": 1, "operation": operation, "intent": "KEEP", "give_up_at": "2026-11-22T02:00:00Z"}
put_back = {"kind": "put-back", "step": 1, "command": start}
fan_out = {"kind": "fan-out", "step": 1, "command": start, "left": []}
sys.setprofile(watch)
now = datetime(2026, 11, 22, 2, tzinfo=UTC)
push = {"data": "e30=", "publishTime": "2026-11-22T02:00:00Z"}
messages.parse_delivery(json.dumps({"message": push}).encode(), "/x", {}, now)
for command in (start, {"action": "sweep", "instance": start["instance"]}):
    messages.parse_command(json.dumps(command).encode())
for action in ("cancel", "follow"):
    messages.parse_command(json.dumps({"action": action, "operation": operation}).encode())
for follow_up in (look, put_back, fan_out):
    messages.parse_follow_up(json.dumps({**follow_up, "trigger": trigger, "v": 1}).encode())
sys.setprofile(None)
sys.exit(f"worked out while messages were being read: {worked_out}" if worked_out else 0)
"""


def test_no_message_is_the_first_of_its_type() -> None:
    """Two threads that read the first two messages at once crashed the process, where msgspec learns what a type is."""
    done = subprocess.run([sys.executable, "-c", READS], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 0, done.stderr
