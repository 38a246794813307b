"""What is posted to the function for a message: Pub/Sub's envelope, or what others make of it."""

from __future__ import annotations

import base64
import json

from spanner_backup_emulator.pubsub.model import Delivery, push_body
from tests.simulation.faults import EPOCH, FAR_FUTURE, FORGED_SOURCE, NO_ID, NO_TIME
from tests.simulation.history import BEGIN, FOLLOW_UPS

TIMES = {EPOCH: "1970-01-01T00:00:00Z", FAR_FUTURE: "9999-12-31T23:59:59.999Z"}


def event_of(data: bytes) -> bytes:
    """A CloudEvent that says of itself that it comes from the follow-ups' topic."""
    message = {
        "data": base64.b64encode(data).decode(),
        "attributes": {"backstop-kind": "follow-up"},
        "messageId": "1",
        "publishTime": BEGIN.isoformat(),
    }
    event = {
        "specversion": "1.0",
        "id": "1",
        "type": "google.cloud.pubsub.topic.v1.messagePublished",
        "source": f"//pubsub.googleapis.com/{FOLLOW_UPS}",
        "data": {"message": message},
    }
    return json.dumps(event).encode()


def pushed_body(pushed: Delivery, odd: str) -> bytes:
    """The body of the push; of a subscription without envelopes it is what somebody wrote."""
    if odd == FORGED_SOURCE:
        return pushed.message.data
    body = push_body(pushed)
    if odd not in {NO_TIME, NO_ID, *TIMES}:
        return body
    document = json.loads(body)
    fields = ("messageId", "message_id") if odd == NO_ID else ("publishTime", "publish_time")
    for field in fields:
        del document["message"][field]
        if odd in TIMES:
            document["message"][field] = TIMES[odd]
    return json.dumps(document).encode()
