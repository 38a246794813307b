"""Each message that can't be understood is answered 2xx, REJECTED once by its field, and never comes again."""

from __future__ import annotations

import json
import socket
from http.client import HTTPConnection
from typing import TYPE_CHECKING, NamedTuple

import pytest

from backstop.follow_ups import Look, Trigger
from backstop.lifecycle import Intent
from backstop.messages import KIND_ATTRIBUTE, KIND_FOLLOW_UP, encode_follow_up
from backstop.names import OperationName
from emulators.serving import HOST, wall_clock
from tests.e2e.lab import ENDLESS, WAIT_S_MAX, Lab, push_body, quick, wait_until

if TYPE_CHECKING:
    from emulators.stack import Event, Stack

INSTANCE = "projects/orders/instances/nobody"
DATABASE = f"{INSTANCE}/databases/orders"
OPERATION = f"{INSTANCE}/backups/nightly/operations/_auto_op_1"


class Bad(NamedTuple):
    """A message, and what is said of it.

    Attributes:
        field: Where the mistake is.
        shown: Part of what is said.
        data: The message; None has no data at all.
        kind: Whether it is marked as a follow-up.
        topic: Where it is published.
    """

    field: str
    shown: str
    data: bytes | None
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
    return json.dumps({**json.loads(encode_follow_up(look)), **fields}).encode()


BAD = {
    "no data at all": Bad("data", "must not be empty", None),
    "not UTF-8": Bad("data", "must be UTF-8", b"\xff\xfe{}"),
    "not JSON": Bad("data", "column 1: text without quotes; found 'start orders'", b"start orders"),
    "NaN": Bad("data", "must be JSON", b'{"action": "start", "retention": NaN}'),
    "not an object": Bad("data", "must be a JSON object", b'["start"]'),
    "too long": Bad("data", "10001 bytes", _json(action="start", database=DATABASE).ljust(10_001)),
    "no action": Bad("action", "must be given", _json(database=DATABASE)),
    "an unknown action": Bad("action", "'stop'", _json(action="stop", database=DATABASE)),
    "an unknown field": Bad("databse", "there is no such field", _json(action="start", databse=DATABASE)),
    "a field given twice": Bad("database", "is given twice", b'{"action":"start","database":"a","database":"b"}'),
    "no target": Bad("operation | backup | database", "exactly one", _json(action="cancel")),
    "two targets": Bad(
        "operation | backup | database",
        "found 'operation, database'",
        _json(action="cancel", database=DATABASE, operation=OPERATION),
    ),
    "a wrong type": Bad("dry_run", "'yes'", _json(action="start", database=DATABASE, dry_run="yes")),
    "a number for a name": Bad("database", "7", _json(action="start", database=7)),
    "a bad database": Bad("database", "must have the form", _json(action="start", database="orders")),
    "a name of another kind": Bad("backup", DATABASE, _json(action="cancel", backup=DATABASE)),
    "a bad backup id": Bad("backup_id", "hold '?'", _json(action="start", database=DATABASE, backup_id="nightly?")),
    "a duration without unit": Bad("retention", "86400", _json(action="start", database=DATABASE, retention="86400")),
    "too short a retention": Bad("retention", "6h to", _json(action="start", database=DATABASE, retention="5h")),
    "too long a retention": Bad("retention", "to 366d", _json(action="start", database=DATABASE, retention="367d")),
    "too long a limit": Bad("cancel_after", "0s to", _json(action="sweep", instance=INSTANCE, cancel_after="8d")),
    "a time without zone": Bad(
        "version_time", "2026", _json(action="start", database=DATABASE, version_time="2026-11-22T02:00:00")
    ),
    "keys for nothing": Bad(
        "encryption.kms_key_names",
        "CUSTOMER_MANAGED_ENCRYPTION",
        _json(action="start", database=DATABASE, encryption={"type": "CUSTOMER_MANAGED_ENCRYPTION"}),
    ),
    "a follow-up on the commands topic": Bad(
        "attributes.backstop-kind", "only a message from", _look(), KIND_FOLLOW_UP
    ),
    "a follow-up of an unknown version": Bad("v", "must be 1", _look(v=2), KIND_FOLLOW_UP, "follow_ups"),
    "a follow-up with a wrong step": Bad("step", "'one'", _look(step="one"), KIND_FOLLOW_UP, "follow_ups"),
}


@pytest.fixture(scope="session")
def published(shared: Stack) -> dict[str, str]:
    """All of them, published at once; then a backup's life passes, in which a refused one would be back."""
    message_ids = {name: _publish(shared, bad) for name, bad in BAD.items()}
    lab = Lab(shared)
    for message_id in message_ids.values():
        lab.ends(message_id)
    assert lab.ends(lab.publish("start", database=lab.database(quick()))) == ["STARTED", "COMPLETED"]
    return message_ids


def _publish(stack: Stack, bad: Bad) -> str:
    attributes = {KIND_ATTRIBUTE: bad.kind} if bad.kind else {"sent-by": "test"}
    return stack.publish(bad.data or b"", getattr(stack, bad.topic), **attributes)


@pytest.mark.parametrize("name", BAD)
def test_a_message_that_cannot_be_understood_is_rejected_once(name: str, lab: Lab, published: dict[str, str]) -> None:
    """It is REJECTED with the field and the value, in one line without a stack trace, and it never comes again."""
    message_id, bad = published[name], BAD[name]

    (rejected,) = [event for event in lab.stack.events() if event.data["trigger"]["message_id"] == message_id]
    assert (rejected.outcome, rejected.data["field"]) == ("REJECTED", bad.field)
    assert message_id in rejected.data["detail"]
    assert bad.shown in rejected.data["detail"]
    (line,) = lab.lines(message_id)
    assert (line["severity"], line["outcome"], line["message"]) == ("ERROR", "REJECTED", rejected.data["detail"])
    assert "Traceback" not in line["message"]
    if lab.stack.pubsub is not None:
        pushed = [done for done in lab.stack.pubsub.outcomes() if done.delivery.message.message_id == message_id]
        assert [done.status for done in pushed] == [204]


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


def test_an_unwrapped_push_with_metadata_is_carried_out(lab: Lab) -> None:
    """The body is the command, and what Pub/Sub knows of it stands in the headers."""
    message_id = f"unwrapped-{lab.instance}"
    headers = {"x-goog-pubsub-message-id": message_id, "x-goog-pubsub-publish-time": wall_clock().isoformat()}
    body = json.dumps({"action": "start", "database": lab.database(quick())}).encode()

    assert lab.post(body, headers) == 204
    assert lab.ends(message_id) == ["STARTED", "COMPLETED"]


def test_a_health_check_is_answered_well(lab: Lab) -> None:
    """Something that looks in is told that somebody is there."""
    for method in ("GET", "HEAD"):
        connection = HTTPConnection(HOST, lab.stack.function.port, timeout=WAIT_S_MAX)
        connection.request(method, "/")

        assert connection.getresponse().status == 200
        connection.close()


def test_a_body_that_breaks_off_is_no_bug(lab: Lab) -> None:
    """The server finds a chunk without its length while the body is read; it was answered 500, with a stack trace."""
    with socket.create_connection((HOST, lab.stack.function.port), WAIT_S_MAX) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno length\r\n")
        answer = connection.recv(65_536)

    assert answer.split()[1] == b"400"
    wait_until(lambda: any(str(line["message"]).startswith("The request's body") for line in lab.stack.function.lines))


@pytest.mark.parametrize("structured", [False, True], ids=["binary", "structured"])
def test_eventarcs_events_are_understood(lab: Lab, *, structured: bool) -> None:
    """A command that comes as a CloudEvent, in either of its two modes, is carried out like any other."""
    message_id = f"eventarc-{lab.instance}"
    push = json.loads(push_body({"action": "start", "database": lab.database(quick())}, message_id))
    event = {
        "specversion": "1.0",
        "id": message_id,
        "type": "google.cloud.pubsub.topic.v1.messagePublished",
        "source": f"//pubsub.googleapis.com/{lab.stack.commands}",
    }
    if structured:
        body = json.dumps({**event, "datacontenttype": "application/json", "data": push}).encode()
        status = lab.post(body, {"Content-Type": "application/cloudevents+json"}, "/")
    else:
        status = lab.post(json.dumps(push).encode(), {f"ce-{name}": value for name, value in event.items()}, "/")

    assert status == 204
    assert lab.ends(message_id) == ["STARTED", "COMPLETED"]


@pytest.mark.parametrize("form", ["an event's header", "an event's body", "no topic in the path", "an unwrapped push"])
def test_a_forged_follow_up_does_nothing(lab: Lab, form: str) -> None:
    """Whoever may publish commands can't make their message one from the follow-ups topic, whatever they write."""
    operation, _ = lab.foreign(ENDLESS)
    trigger = Trigger(f"forged-{lab.instance}", wall_clock())
    look = Look(
        trigger=trigger, step=1, operation=OperationName(operation), intent=Intent.CANCEL, give_up_at=wall_clock()
    )
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
    body, headers, path = {
        "an event's header": (push, {"ce-source": source}, None),
        "an event's body": (event, {}, None),
        "no topic in the path": (event, {"Content-Type": "application/cloudevents+json"}, "/"),
        "an unwrapped push": (json.dumps(document).encode(), metadata, "/"),
    }[form]

    assert lab.post(body, headers, path) == 204
    assert lab.ends(trigger.message_id) == ["REJECTED"]
    assert lab.calls("CancelOperation") == []
