"""Instances and empty databases, as far as Google's clients and `gcloud` need them without Google's emulator.

What is made is there at once, and its operation is done in the answer. Instances are kept as Google's own messages.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import grpc
from google.cloud.spanner_admin_database_v1 import types as pb
from google.cloud.spanner_admin_instance_v1 import types as instance_pb
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from spanner_backup_emulator.rpc import serialized
from spanner_backup_emulator.spanner import refusals, rules, wire
from spanner_backup_emulator.spanner.records import STANDARD_SQL

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from spanner_backup_emulator.serving import Endpoint
    from spanner_backup_emulator.spanner.state import State

INSTANCE_ADMIN = "google.spanner.admin.instance.v1.InstanceAdmin"
DATABASE_ADMIN = "google.spanner.admin.database.v1.DatabaseAdmin"

CONFIG_ID = "emulator-config"
"""The one configuration there is, as in Google's emulator (observed on 2026-11-26)."""

_READY = instance_pb.Instance.State.READY
_CREATE = re.compile(r"\s*CREATE\s+DATABASE\s+[`\"]?([^`\"\s;]+)[`\"]?\s*;?\s*", re.IGNORECASE)


class Instances:
    """What was made, and the operations that made it; each method is called with the lock held, and answers an RPC."""

    def __init__(self, state: State) -> None:
        """Takes the state to which the databases belong."""
        self._state = state
        self._made: dict[str, instance_pb.Instance] = {}
        self._ddl: dict[str, list[str]] = {}
        self._numbers = itertools.count(1)
        self.operations: dict[str, operations_pb2.Operation] = {}

    def list_instance_configs(self, _: datetime, request: instance_pb.ListInstanceConfigsRequest) -> Any:  # noqa: ANN401 Google's
        """The one there is."""
        return instance_pb.ListInstanceConfigsResponse(instance_configs=[_config(request.parent)])

    def get_instance_config(self, _: datetime, request: instance_pb.GetInstanceConfigRequest) -> Any:  # noqa: ANN401 Google's
        """That one, whatever its name."""
        return _config("/".join(request.name.split("/")[:2]))

    def create_instance(self, now: datetime, request: instance_pb.CreateInstanceRequest) -> Any:  # noqa: ANN401 Google's
        """Makes an instance of what is asked for."""
        name = f"{request.parent}/instances/{request.instance_id}"
        rules.check_parent(name)
        if name in self._made:
            raise refusals.instance_exists(name)
        self._made[name] = made = instance_pb.Instance(request.instance)
        # A node is 1,000 processing units: https://docs.cloud.google.com/spanner/docs/compute-capacity (documented)
        made.processing_units = made.processing_units or made.node_count * 1000
        made.node_count = made.processing_units // 1000
        made.name, made.state = name, _READY  # type: ignore[assignment]  # an enum of proto-plus
        made.create_time = now  # type: ignore[assignment]  # proto-plus takes a datetime
        self._state.add_instance(name)
        return self._done(name, instance_pb.CreateInstanceMetadata(instance=made, start_time=now, end_time=now), made)

    def get_instance(self, _: datetime, request: instance_pb.GetInstanceRequest) -> Any:  # noqa: ANN401 Google's
        """An instance that was made, or of which a database is known."""
        if request.name not in self._state.instances:
            raise refusals.instance_missing(request.name)
        return self._shown(request.name)

    def list_instances(self, _: datetime, request: instance_pb.ListInstancesRequest) -> Any:  # noqa: ANN401 Google's
        """Those of a project, by name and on one page."""
        names = sorted(name for name in self._state.instances if name.startswith(f"{request.parent}/"))
        return instance_pb.ListInstancesResponse(instances=list(map(self._shown, names)))

    def delete_instance(self, now: datetime, request: instance_pb.DeleteInstanceRequest) -> Any:  # noqa: ANN401 Google's
        """Forgets an instance and its databases, unless it has backups."""
        inside = f"{request.name}/"
        if any(backup.startswith(inside) for backup in self._state.backups):
            raise refusals.instance_has_backups(request.name)
        for name in [name for name in self._state.databases if name.startswith(inside)]:
            self._state.forget_database(now, name)
        self._made.pop(request.name, None)
        self._state.forget_instance(request.name)
        return empty_pb2.Empty()

    def create_database(self, now: datetime, request: pb.CreateDatabaseRequest) -> Any:  # noqa: ANN401 Google's
        """Makes a database that nobody can write to."""
        found = _CREATE.fullmatch(request.create_statement)
        if found is None:
            raise refusals.invalid(f"Invalid CREATE DATABASE statement: {request.create_statement!r}")
        rules.check_parent(request.parent)
        rules.check_database_id(found[1])
        name = f"{request.parent}/databases/{found[1]}"
        if self._state.find_database(name) is not None:
            raise refusals.database_exists(name)
        dialect = "POSTGRESQL" if request.database_dialect == pb.DatabaseDialect.POSTGRESQL else STANDARD_SQL
        record = self._state.add_database(name, create_time=now, dialect=dialect)
        self._ddl[name] = list(request.extra_statements)
        return self._done(name, pb.CreateDatabaseMetadata(database=name), wire.database(record))

    def drop_database(self, now: datetime, request: pb.DropDatabaseRequest) -> Any:  # noqa: ANN401 Google's
        """Forgets a database."""
        if self._state.is_being_backed_up(request.database):
            raise refusals.drop_blocked(request.database)
        self._state.forget_database(now, request.database)
        self._ddl.pop(request.database, None)
        return empty_pb2.Empty()

    def get_database_ddl(self, _: datetime, request: pb.GetDatabaseDdlRequest) -> Any:  # noqa: ANN401 Google's
        """The statements as they came; nothing reads them."""
        return pb.GetDatabaseDdlResponse(statements=self._statements(request.database))

    def update_database_ddl(self, _: datetime, request: pb.UpdateDatabaseDdlRequest) -> Any:  # noqa: ANN401 Google's
        """Keeps more statements."""
        self._statements(request.database).extend(request.statements)
        metadata = pb.UpdateDatabaseDdlMetadata(database=request.database, statements=request.statements)
        return self._done(request.database, metadata, empty_pb2.Empty())

    def _statements(self, database: str) -> list[str]:
        if self._state.find_database(database) is None:
            raise refusals.database_missing(database)
        return self._ddl.setdefault(database, [])

    def _shown(self, name: str) -> instance_pb.Instance:
        config = _config("/".join(name.split("/")[:2])).name
        return self._made.get(name) or instance_pb.Instance(name=name, config=config, node_count=1, state=_READY)

    def _done(self, target: str, metadata: Any, response: Any) -> operations_pb2.Operation:  # noqa: ANN401 Google's messages
        made = operations_pb2.Operation(name=f"{target}/operations/_auto_op_{next(self._numbers):016}", done=True)
        made.metadata.CopyFrom(wire.packed(metadata))
        made.response.CopyFrom(wire.packed(response))
        self.operations[made.name] = made
        return made


def register(server: grpc.Server, endpoint: Endpoint, instances: Instances) -> None:
    """Adds the methods to a server."""
    kinds = {
        INSTANCE_ADMIN: {
            "ListInstanceConfigs": (instance_pb.ListInstanceConfigsRequest, instances.list_instance_configs, "parent"),
            "GetInstanceConfig": (instance_pb.GetInstanceConfigRequest, instances.get_instance_config, "name"),
            "CreateInstance": (instance_pb.CreateInstanceRequest, instances.create_instance, "parent"),
            "GetInstance": (instance_pb.GetInstanceRequest, instances.get_instance, "name"),
            "ListInstances": (instance_pb.ListInstancesRequest, instances.list_instances, "parent"),
            "DeleteInstance": (instance_pb.DeleteInstanceRequest, instances.delete_instance, "name"),
        },
        DATABASE_ADMIN: {
            "CreateDatabase": (pb.CreateDatabaseRequest, instances.create_database, "parent"),
            "DropDatabase": (pb.DropDatabaseRequest, instances.drop_database, "database"),
            "GetDatabaseDdl": (pb.GetDatabaseDdlRequest, instances.get_database_ddl, "database"),
            "UpdateDatabaseDdl": (pb.UpdateDatabaseDdlRequest, instances.update_database_ddl, "database"),
        },
    }

    def handler(name: str, kind: Any, work: Callable[..., Any], field: str) -> grpc.RpcMethodHandler[Any, Any]:  # noqa: ANN401 Google's
        def call(request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 Google's messages have no types
            return endpoint.answer(name, context, lambda now: work(now, request), getattr(request, field))

        return grpc.unary_unary_rpc_method_handler(
            call, request_deserializer=kind.deserialize, response_serializer=serialized
        )

    for service, methods in kinds.items():
        handlers = {name: handler(name, *method) for name, method in methods.items()}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


def _config(project: str) -> instance_pb.InstanceConfig:
    return instance_pb.InstanceConfig(
        name=f"{project}/instanceConfigs/{CONFIG_ID}", display_name="Emulator Instance Config"
    )
