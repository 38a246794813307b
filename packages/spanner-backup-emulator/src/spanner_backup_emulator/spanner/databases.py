"""Databases, and the instances that hold them, as far as Google's clients and `gcloud` need them.

What is made is there at once, and its operation is done in the answer. Nobody can write to a database, nor reads its
DDL.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from spanner_backup_emulator.messages import copied, stamp
from spanner_backup_emulator.spanner import refusals, rules
from spanner_backup_emulator.spanner.agenda import Agenda
from spanner_backup_emulator.spanner.messages import pb
from spanner_backup_emulator.spanner.pages import page_of, under
from spanner_backup_emulator.spanner.starts import database_of
from spanner_backup_emulator.spanner.world import World

if TYPE_CHECKING:
    from datetime import datetime

    from spanner_backup_emulator.messages import Message
    from spanner_backup_emulator.spanner.work import Resource

CONFIG_ID = "emulator-config"
"""The one configuration there is, as in Google's emulator (observed on 2026-11-26)."""

UNITS_PER_NODE = 1000
"""https://docs.cloud.google.com/spanner/docs/compute-capacity, documented."""

_CREATE = re.compile(r"\s*CREATE\s+DATABASE\s+[`\"]?([^`\"\s;]+)[`\"]?\s*;?\s*", re.IGNORECASE)


class Databases(World):
    """One method per RPC, with its name."""

    def list_instance_configs(self, request: Message) -> Message:
        """The one there is."""
        return pb.ListInstanceConfigsResponse(instance_configs=[_config(request.parent)])

    def get_instance_config(self, request: Message) -> Message:
        """That one, whatever its name."""
        return _config(request.name)

    def create_instance(self, request: Message) -> Message:
        """Makes an instance of what is asked for."""
        name, now = f"{request.parent}/instances/{request.instance_id}", stamp(self.now)
        rules.check_form("instance name", name)
        if name in self._made_instances:
            raise refusals.exists("Instance", name)
        self._made_instances[name] = made = copied(request.instance)
        made.processing_units = made.processing_units or made.node_count * UNITS_PER_NODE
        made.node_count = made.processing_units // UNITS_PER_NODE
        made.name, made.state = name, pb.Instance.READY
        made.create_time.CopyFrom(now)
        self.instances.add(name)
        return self._done_at_once(name, pb.CreateInstanceMetadata(instance=made, start_time=now, end_time=now), made)

    def get_instance(self, request: Message) -> Message:
        """An instance that was made, or of which a database is known."""
        if request.name not in self.instances:
            raise refusals.missing("Instance", request.name)
        return self._shown(request.name)

    def list_instances(self, request: Message) -> Message:
        """Those of a project, by name and on one page."""
        names = sorted(name for name in self.instances if name.startswith(f"{request.parent}/"))
        return pb.ListInstancesResponse(instances=map(self._shown, names))

    def delete_instance(self, request: Message) -> Message:
        """Forgets an instance and its databases, unless it has backups."""
        inside = f"{request.name}/"
        if any(backup.startswith(inside) for backup in self.backups):
            raise refusals.INSTANCE_HAS_BACKUPS(request.name)
        for name in [name for name in self.databases if name.startswith(inside)]:
            self.forget_database(self.now, name)
        self._made_instances.pop(request.name, None)
        self.instances.discard(request.name)
        return pb.Empty()

    def create_database(self, request: Message) -> Message:
        """Makes a database."""
        found = _CREATE.fullmatch(request.create_statement)
        if found is None:
            raise refusals.invalid(f"Invalid CREATE DATABASE statement: {request.create_statement!r}")
        rules.check_form("instance name", request.parent)
        rules.check_form("database id", found[1])
        name = f"{request.parent}/databases/{found[1]}"
        if name in self.databases:
            raise refusals.exists("Database", name)
        fields = {"database_dialect": request.database_dialect} if request.database_dialect else {}
        made = self.add_database(name, create_time=stamp(self.now), **fields)
        self._ddl[name] = list(request.extra_statements)
        return self._done_at_once(name, pb.CreateDatabaseMetadata(database=name), made.message)

    def drop_database(self, request: Message) -> Message:
        """Forgets a database."""
        if self.is_being_backed_up(request.database):
            raise refusals.DROP_BLOCKED(request.database)
        self.forget_database(self.now, request.database)
        self._ddl.pop(request.database, None)
        return pb.Empty()

    def get_database(self, request: Message) -> Message:
        """Reads a database."""
        rules.check_form("database name", request.name)
        return copied(self._found_database(request.name))

    def list_databases(self, request: Message) -> Message:
        """Lists databases, newest first."""
        self._check_listed(request.parent)
        prefix = f"{request.parent}/databases/"
        page, token = page_of(under(self.databases, prefix), request, prefix)
        return pb.ListDatabasesResponse(databases=(one.message for one in page), next_page_token=token)

    def get_database_ddl(self, request: Message) -> Message:
        """The statements as they came; nothing reads them."""
        return pb.GetDatabaseDdlResponse(statements=self._statements(request.database))

    def update_database_ddl(self, request: Message) -> Message:
        """Keeps more statements."""
        self._statements(request.database).extend(request.statements)
        metadata = pb.UpdateDatabaseDdlMetadata(database=request.database, statements=request.statements)
        return self._done_at_once(request.database, metadata, pb.Empty())

    def forget_database(self, now: datetime, name: str) -> None:
        """Makes a database unknown that was dropped; what optimized it has ended, and its backup is free (inferred)."""
        self.advance(now)
        held = self.databases.get(name)
        while held is not None and held.work is not None:
            self.end_now(held.work)
        self.databases.pop(name, None)
        for schedule in self.schedules_of(name):
            Agenda.drop(schedule.due)
            del self.schedules[schedule.message.name]

    def is_being_backed_up(self, database: str) -> bool:
        """Whether an unfinished backup of this database exists, by demand or by schedule."""
        backups = (backup.message for backup in self.backups.values())
        return any(one.database == database and one.state == pb.Backup.CREATING for one in backups)

    def schedules_of(self, database: str) -> list[Resource]:
        """A database's schedules, newest first."""
        return under(self.schedules, f"{database}/backupSchedules/")

    def _found_database(self, name: str, *, remember: bool = False) -> Message:
        """The database; unless strict, one that nobody declared counts as there, and is listed once remembered."""
        if name not in self.databases and self._strict:
            raise refusals.missing("Database", name)
        if name not in self.databases and not remember:
            return database_of(name)
        return (self.databases.get(name) or self.add_database(name)).message

    def _check_listed(self, parent: str) -> None:
        rules.check_form("instance name", parent)
        self._check_instance(parent)

    def _check_instance(self, name: str) -> None:
        if self._strict and name not in self.instances:
            raise refusals.missing("Instance", name)

    def _statements(self, database: str) -> list[str]:
        refusals.found("Database", self.databases, database)
        return self._ddl.setdefault(database, [])

    def _shown(self, name: str) -> Message:
        config = _config(name).name
        return copied(
            self._made_instances.get(name) or pb.Instance(name=name, config=config, node_count=1, state="READY")
        )

    def _done_at_once(self, target: str, metadata: Message, response: Message) -> Message:
        made = pb.Operation(name=f"{target}/operations/_auto_op_{len(self._done) + 1:016}", done=True)
        made.metadata.Pack(metadata)
        made.response.Pack(response)
        self._done[made.name] = made
        return made


def _config(name: str) -> Message:
    """The configuration, of the project that this name begins with."""
    project = "/".join(name.split("/")[:2])
    return pb.InstanceConfig(name=f"{project}/instanceConfigs/{CONFIG_ID}", display_name="Emulator Instance Config")
