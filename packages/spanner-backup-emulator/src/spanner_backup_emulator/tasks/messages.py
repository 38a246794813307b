"""The classes of Google's messages about Cloud Tasks: `pb.Task(name=…)`.

A message that the state keeps never changes: a changed copy takes its place. So an answer may be the state's own
message, and stays as it is.
"""

from google.cloud.tasks_v2 import types
from google.protobuf import empty_pb2, field_mask_pb2
from google.rpc import status_pb2

from spanner_backup_emulator.messages import Classes

pb = Classes(types, empty_pb2, field_mask_pb2, status_pb2)

METHODS = {int(method): method.name for method in types.HttpMethod.__members__.values() if method}
"""The HTTP methods by their numbers."""
