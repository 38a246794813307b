"""Each message that can't be understood is answered 2xx, REJECTED once by its field, and never comes again."""

from __future__ import annotations

import json
import socket
from http.client import HTTPConnection
from typing import NamedTuple

from backstop.events import Trigger
from backstop.followups import Intent, Poll
from backstop.names import OperationName
from backstop.wire import KIND_ATTRIBUTE, KIND_FOLLOW_UP, encode_follow_up
from demo.stack import Event
from spanner_backup_emulator.serving import HOST, wall_clock
from tests.e2e.lab import ENDLESS, Lab, played, push_body, quick
from tests.waiting import WAIT_S_MAX, wait_until

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
    look = Poll(
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
        assert (line["severity"], line["outcomes"]) == ("ERROR", ["REJECTED"])
        assert line["message"] == rejected.data["detail"]
        assert "Traceback" not in line["message"]
        if lab.stack.pubsub is not None:
            pushed = [done for done in lab.stack.pubsub.outcomes() if done.delivery.message.message_id == message_id]
            assert [done.status for done in pushed] == [204]


def _publish(lab: Lab, bad: Bad) -> str:
    attributes = {KIND_ATTRIBUTE: bad.kind} if bad.kind else {"sent-by": "test"}
    return lab.publish_raw(bad.data, getattr(lab.stack, bad.topic), **attributes)


@played()
def test_a_request_that_is_no_push_is_rejected_by_the_name_of_the_setting(lab: Lab) -> None:
    """What has neither an id nor a time is answered 2xx, each time under an id of its own, so that none is dropped."""
    body = json.dumps({"action": "start", "database": lab.database(quick())}).encode()

    assert [lab.post(body), lab.post(body)] == [204, 204]
    lab.stack.wait_for(lambda events: len(_about(events, lab)) == 2)
    told = _about(lab.stack.events(), lab)
    assert [event.outcome for event in told] == ["REJECTED"] * 2
    assert all("noWrapper.writeMetadata" in event.data["detail"] for event in told)
    assert len({event.attributes["ce-id"] for event in told}) == 2


def _about(events: list[Event], lab: Lab) -> list[Event]:
    return [event for event in events if lab.instance in event.data["detail"]]


@played()
def test_an_unwrapped_push_with_metadata_is_carried_out(lab: Lab) -> None:
    """The body is the command, and what Pub/Sub knows of it stands in the headers."""
    message_id = f"unwrapped-{lab.instance}"
    headers = {"x-goog-pubsub-message-id": message_id, "x-goog-pubsub-publish-time": wall_clock().isoformat()}
    body = json.dumps({"action": "start", "database": lab.database(quick())}).encode()

    assert lab.post(body, headers) == 204
    assert lab.ends(message_id) == ["STARTED", "COMPLETED"]


@played()
def test_a_health_check_is_answered_well(lab: Lab) -> None:
    """Something that looks in is told that somebody is there."""
    for method in ("GET", "HEAD"):
        connection = HTTPConnection(HOST, lab.stack.function.port, timeout=WAIT_S_MAX)
        connection.request(method, "/")

        assert connection.getresponse().status == 200
        connection.close()


@played()
def test_a_body_that_breaks_off_is_no_bug(lab: Lab) -> None:
    """The server finds a chunk without its length while the body is read; it was answered 500, with a stack trace."""
    with socket.create_connection((HOST, lab.stack.function.port), WAIT_S_MAX) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno length\r\n")
        answer = connection.recv(65_536)

    assert answer.split()[1] == b"400"
    wait_until(lambda: any(str(line["message"]).startswith("The request's body") for line in lab.stack.function.lines))


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


FORGERIES = ("an event's header", "an event's body", "no topic in the path", "an unwrapped push")


@played()
def test_a_forged_follow_up_does_nothing(lab: Lab) -> None:
    """Whoever may publish commands can't make their message one from the follow-ups topic, whatever they write."""
    operation, _ = lab.foreign(ENDLESS)
    for form in FORGERIES:
        trigger = Trigger(f"forged-{form[-4:].strip()}-{lab.instance}", wall_clock())
        body, headers, path = _forged(lab, form, OperationName(operation), trigger)
        assert lab.post(body, headers, path) == 204
        assert lab.ends(trigger.message_id) == ["REJECTED"]
    assert lab.calls("CancelOperation") == []


def _forged(
    lab: Lab, form: str, operation: OperationName, trigger: Trigger
) -> tuple[bytes, dict[str, str], str | None]:
    look = Poll(trigger=trigger, step=1, operation=operation, intent=Intent.CANCEL, give_up_at=wall_clock())
    document = json.loads(encode_follow_up(look))
    push = push_body(document, trigger.message_id, attributes={KIND_ATTRIBUTE: KIND_FOLLOW_UP})
    source = f"//pubsub.googleapis.com/{lab.stack.follow_ups}"
    event = json.dumps({"specversion": "1.0", "id": "1", "source": source, "data": json.loads(push)}).encode()
    metadata = {
        "x-goog-pubsub-message-id": trigger.message_id,
        "x-goog-pubsub-publish-time": wall_clock().isoformat(),
        KIND_ATTRIBUTE: KIND_FOLLOW_UP,
        "ce-source": source,
    }
    forms: dict[str, tuple[bytes, dict[str, str], str | None]] = {
        "an event's header": (push, {"ce-source": source}, None),
        "an event's body": (event, {}, None),
        "no topic in the path": (event, {"Content-Type": "application/cloudevents+json"}, "/"),
        "an unwrapped push": (json.dumps(document).encode(), metadata, "/"),
    }
    return forms[form]
