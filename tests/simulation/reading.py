"""How the checker reads a message, and shares no code with the function for it."""

from __future__ import annotations

import base64
import json
from functools import lru_cache

from spanner_backup_emulator.pubsub.model import pb
from tests.simulation.record import Waiting, command_key


def follow_up_data(task: Waiting) -> dict[str, object]:
    """What a task would publish."""
    (message,) = json.loads(task.data)["messages"]
    body = json.loads(base64.b64decode(message["data"]))
    assert isinstance(body, dict)
    return body


@lru_cache(maxsize=1000)
def body_of(data: bytes) -> dict[str, object]:
    """A message's fields; none if it is no JSON object."""
    try:
        body = json.loads(data)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def trigger_of(message: pb.PubsubMessage) -> str:
    """The message id of the command that a message belongs to, as it says itself."""
    body = body_of(message.data)
    return key_in(body) if "kind" in body else message.message_id


def key_in(follow_up: dict[str, object]) -> str:
    """The command that a follow-up says that it is for."""
    trigger = follow_up.get("trigger")
    assert isinstance(trigger, dict)
    return command_key(str(trigger.get("topic", "")), str(trigger["message_id"]))
