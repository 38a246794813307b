"""The classes of Google's messages about Cloud Spanner: `pb.Backup(name=…)`."""

from __future__ import annotations

from google.cloud import spanner_admin_database_v1, spanner_admin_instance_v1
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2, timestamp_pb2
from google.rpc import error_details_pb2

from spanner_backup_emulator.messages import Classes, Message

pb = Classes(
    spanner_admin_database_v1, spanner_admin_instance_v1, operations_pb2, empty_pb2, timestamp_pb2, error_details_pb2
)

TYPE_PREFIX = "type.googleapis.com/"


def unpacked(envelope: Message) -> Message:
    """The message in an envelope."""
    return getattr(pb, envelope.type_url.rpartition(".")[2]).FromString(envelope.value)
