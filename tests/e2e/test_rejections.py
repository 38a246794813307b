"""Each message that can't be understood is answered 2xx, REJECTED once by its field, and never comes again."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

from backstop.follow_ups import Look, Trigger
from backstop.lifecycle import Intent
from backstop.messages import KIND_ATTRIBUTE, KIND_FOLLOW_UP, encode_follow_up
from backstop.names import OperationName
from emulators.serving import wall_clock
from tests.e2e.lab import ENDLESS, WAIT_S_MAX, played, push_body, quick

if TYPE_CHECKING:
    from emulators.stack import Event
    from tests.e2e.lab import Lab

INSTANCE = "projects/orders/instances/nobody"
DATABASE = f"{INSTANCE}/databases/orders"
OPERATION = f"{INSTANCE}/backups/nightly/operations/_auto_op_1"


class Bad(NamedTuple):
    """A message, and where its mistake is.

    Attributes:
        field: What is named as wrong.
        data: The message; empty has no data at all.
        kind: Whether it is marked as a follow-up.
        topic: Where it is published.
    """

    field: str
    data: bytes
    kind: str = ""
    topic: str = "commands"


def _json(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def _look(**fields: object) -> bytes:
    look = Look(
        trigger=Trigger("1", wall_clock()),
        step=1,
        operation=OperationName(OPERATION),
        intent=Intent.CANCEL,
        give_up_at=wall_clock(),
    )
    return _json(**{**json.loads(encode_follow_up(look)), **fields})


BAD = [
    Bad("data", b""),
    Bad("data", b"\xff\xfe{}"),
    Bad("data", b"start orders"),
    Bad("data", _json(action="start", database=DATABASE).ljust(10_001)),
    Bad("action", _json(database=DATABASE)),
    Bad("databse", _json(action="start", databse=DATABASE)),
    Bad("operation | backup | database", _json(action="cancel")),
    Bad("dry_run", _json(action="start", database=DATABASE, dry_run="yes")),
    Bad("retention", _json(action="start", database=DATABASE, retention="5h")),
    Bad("attributes.backstop-kind", _look(), KIND_FOLLOW_UP),
    Bad("step", _look(step="one"), KIND_FOLLOW_UP, "follow_ups"),
]
"""One of each kind; all that can be wrong is in the tests of the parser."""


@played()
def test_a_message_that_cannot_be_understood_is_rejected_once(lab: Lab) -> None:
    """It is REJECTED with the field and the value, in one line without a stack trace, and it never comes again.

    They are published at once; then a backup's life passes, in which a refused one would be back.
    """
    bad = {_publish(lab, one): one for one in BAD}
    for message_id in bad:
        lab.ends(message_id)
    assert lab.ends(lab.publish("start", database=lab.database(quick()))) == ["STARTED", "COMPLETED"]

    for message_id, one in bad.items():
        (line,) = lab.lines(message_id)
        (rejected,) = [event for event in lab.stack.events() if event.data["trigger"]["message_id"] == message_id]
        assert (rejected.outcome, rejected.data["field"]) == ("REJECTED", one.field)
        assert message_id in rejected.data["detail"]
        assert (line["severity"], line["outcome"], line["message"]) == ("ERROR", "REJECTED", rejected.data["detail"])
        assert "Traceback" not in line["message"]
        if lab.stack.pubsub is not None:
            pushed = [done for done in lab.stack.pubsub.outcomes() if done.delivery.message.message_id == message_id]
            assert [done.status for done in pushed] == [204]


def _publish(lab: Lab, bad: Bad) -> str:
    attributes = {KIND_ATTRIBUTE: bad.kind} if bad.kind else {"sent-by": "test"}
    return lab.publish_raw(bad.data, getattr(lab.stack, bad.topic), **attributes)


@played()
def test_a_request_that_is_no_push_is_rejected(lab: Lab) -> None:
    """What nobody at Pub/Sub sent is answered 2xx all the same, and told under an id made of its bytes."""
    body = f'{{"hello": "{lab.instance}"}}'.encode()

    assert [lab.post(body), lab.post(body)] == [204, 204]
    told = lab.stack.wait_for(lambda events: len(_of_body(events, lab)) == 2, WAIT_S_MAX)
    events = _of_body(told, lab)
    assert [event.outcome for event in events] == ["REJECTED"] * 2
    assert len({event.attributes["ce-id"] for event in events}) == 1


def _of_body(events: list[Event], lab: Lab) -> list[Event]:
    body = f'{{"hello": "{lab.instance}"}}'.encode()
    message_id = f"body-{hashlib.sha256(body).hexdigest()[:16]}"
    return [event for event in events if event.data["trigger"]["message_id"] == message_id]


@played()
def test_eventarcs_events_are_understood(lab: Lab) -> None:
    """A command that comes as a CloudEvent, in either of its two modes, is carried out like any other."""
    for mode in ("binary", "structured"):
        message_id = f"eventarc-{mode}-{lab.instance}"
        assert _post_event(lab, mode, message_id) == 204
        assert lab.ends(message_id) == ["STARTED", "COMPLETED"]


def _post_event(lab: Lab, mode: str, message_id: str) -> int:
    push = json.loads(push_body({"action": "start", "database": lab.database(quick(), mode)}, message_id))
    event = {
        "specversion": "1.0",
        "id": message_id,
        "type": "google.cloud.pubsub.topic.v1.messagePublished",
        "source": f"//pubsub.googleapis.com/{lab.stack.commands}",
    }
    if mode == "binary":
        return lab.post(json.dumps(push).encode(), {f"ce-{name}": value for name, value in event.items()}, "/")
    body = json.dumps({**event, "datacontenttype": "application/json", "data": push}).encode()
    return lab.post(body, {"Content-Type": "application/cloudevents+json"}, "/")


@played()
def test_eventarcs_source_tells_a_follow_up_from_a_forgery(lab: Lab) -> None:
    """A follow-up is believed for the topic in the event's source, and for no other."""
    operation, _ = lab.foreign(ENDLESS)
    trigger = Trigger(f"forged-{lab.instance}", wall_clock())
    look = Look(
        trigger=trigger, step=1, operation=OperationName(operation), intent=Intent.CANCEL, give_up_at=wall_clock()
    )
    push = push_body(
        json.loads(encode_follow_up(look)), trigger.message_id, attributes={KIND_ATTRIBUTE: KIND_FOLLOW_UP}
    )
    source = f"//pubsub.googleapis.com/{lab.stack.commands}"

    assert lab.post(push, {"ce-source": source, "ce-specversion": "1.0"}, f"/{lab.stack.follow_ups}") == 204
    assert lab.ends(trigger.message_id) == ["REJECTED"]
    assert lab.calls("CancelOperation") == []
