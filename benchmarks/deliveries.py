"""The messages that the function is given, as Pub/Sub pushes them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import grpc
from google.cloud.spanner_admin_database_v1.services.database_admin import DatabaseAdminClient

from backstop.events import Trigger
from backstop.followups import FollowUp, Intent, Poll
from backstop.names import DatabaseName, OperationName
from backstop.wire import KIND_ATTRIBUTE, KIND_FOLLOW_UP, encode_follow_up
from benchmarks.deployment import FOLLOW_UPS, PROJECT

COMMANDS = f"{PROJECT}/topics/backstop-commands"
DATABASE = DatabaseName(f"{PROJECT}/instances/prod/databases/orders")


def client(address: str) -> DatabaseAdminClient:
    """The official client of the emulated Spanner at this address."""
    transport = DatabaseAdminClient.get_transport_class("grpc")
    return DatabaseAdminClient(transport=transport(channel=grpc.insecure_channel(address)))


def running_operation(address: str) -> OperationName:
    """The name of a backup's operation that runs as long as the emulator does; it is started here."""
    request = {
        "parent": str(DATABASE.instance),
        "backup_id": "orders-running",
        "backup": {"database": str(DATABASE), "expire_time": datetime.now(UTC) + timedelta(days=2)},
    }
    return OperationName(client(address).create_backup(request=request).operation.name)


def start(number: int) -> tuple[str, bytes]:
    """A start, each of a database of its own."""
    command = {"action": "start", "database": f"{PROJECT}/instances/i{number}/databases/orders"}
    return COMMANDS, push(json.dumps(command).encode(), f"start-{number}")


def start_many(number: int) -> tuple[str, bytes]:
    """A start of all databases of an instance of its own."""
    command = {"action": "start", "instance": f"{PROJECT}/instances/i{number}"}
    return COMMANDS, push(json.dumps(command).encode(), f"start-many-{number}")


def rejected(number: int) -> tuple[str, bytes]:
    """A message that asks for what there is not: it is answered without a call to Spanner."""
    return COMMANDS, push(json.dumps({"action": "stop", "database": str(DATABASE)}).encode(), f"rejected-{number}")


def poll(number: int, operation: OperationName) -> tuple[str, bytes]:
    """A follow-up on an operation that runs, each of a chain of its own."""
    now = datetime.now(UTC)
    follow_up = Poll(
        trigger=Trigger(f"poll-{number}", now),
        step=3,
        operation=operation,
        database=DATABASE,
        intent=Intent.KEEP,
        give_up_at=now + timedelta(days=3),
    )
    return FOLLOW_UPS, push_follow_up(follow_up, operation)


def push_follow_up(follow_up: FollowUp, operation: OperationName | None = None) -> bytes:
    """The push of a follow-up; the bare functions, which read no data, find the operation in an attribute."""
    attributes = {KIND_ATTRIBUTE: KIND_FOLLOW_UP} | ({"operation": str(operation)} if operation else {})
    return push(encode_follow_up(follow_up), "task", attributes)


def push(data: bytes, message_id: str, attributes: dict[str, str] | None = None) -> bytes:
    """The body of a push of this message."""
    message = {
        "data": base64.b64encode(data).decode(),
        "attributes": attributes or {},
        "messageId": message_id,
        "publishTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
    }
    subscription = f"{PROJECT}/subscriptions/backstop"
    return json.dumps({"message": message, "subscription": subscription, "deliveryAttempt": 1}).encode()
