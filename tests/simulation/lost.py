"""Which commands have lost a message for good: with a purged queue, or as a dead letter."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import datetime

from spanner_backup_emulator.pubsub.model import pb, published_at
from tests.simulation.record import Delivery, Published, Record, Waiting, command_key


def first_published_at(letter: pb.PubsubMessage) -> datetime:
    """When the message was published that became this dead letter."""
    return datetime.fromisoformat(letter.attributes["CloudPubSubDeadLetterSourceTopicPublishTime"])


def _trigger_of(topic: str, message: pb.PubsubMessage) -> str:
    """The command on whose behalf a message is: itself, or the one that a follow-up names.

    The world asks, and whoever forged a follow-up gets nothing published again; the checker has a reading of its own.
    """
    if message.attributes.get("backstop-kind") != "follow-up":
        return command_key(topic, message.message_id)
    trigger = json.loads(message.data)["trigger"]
    return command_key(trigger.get("topic", ""), str(trigger["message_id"]))


def task_message(task: Waiting) -> pb.PubsubMessage:
    """The follow-up that a task would have published."""
    (inner,) = json.loads(task.data)["messages"]
    return pb.PubsubMessage(data=base64.b64decode(inner["data"]), attributes=inner["attributes"])


def lost_commands(record: Record) -> list[Published]:
    """The commands whose chain was lost with a purged queue or as a dead letter."""
    lost = {_trigger_of(one.topic, one.message) for one in record.dead}
    lost |= {_trigger_of("", task_message(task)) for task in record.tasks if task.name in record.purged}
    return [one for one in record.published if one.key in lost]


def body_of(data: bytes) -> dict[str, object]:
    """A message's fields; none if it is no JSON object."""
    try:
        document = json.loads(data)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def delivery_of(letter: pb.PubsubMessage, deliveries: Sequence[Delivery]) -> Delivery:
    """The last delivery of the message that became a dead letter, which has an id of its own and says the same."""
    subscription = letter.attributes["CloudPubSubDeadLetterSourceSubscription"]
    return next(
        delivery
        for delivery in reversed(deliveries)
        if delivery.message.data == letter.data
        and published_at(delivery.message) == first_published_at(letter)
        and delivery.topic.endswith(f"/{subscription}")
    )
