"""Databases, and the instances that hold them, as far as Google's clients and `gcloud` need them.

What is made is there at once, and its operation is done in the answer. Nobody can write to a database, nor reads its
DDL.
"""

import re
import zlib
from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import TypeVar

from spanner_backup_emulator.messages import Message, copied, stamp
from spanner_backup_emulator.spanner import refusals
from spanner_backup_emulator.spanner.messages import pb
from spanner_backup_emulator.spanner.work import Resource, Work, drop
from spanner_backup_emulator.spanner.world import STANDARD_DIALECT, World, config_of, database_of

N = TypeVar("N", Resource, Work)

PAGE_SIZE_MAX = 1000
"""How many items a page holds when the client names no number, or a larger one (inferred: Google names none)."""

UNITS_PER_NODE = 1000
"""https://docs.cloud.google.com/spanner/docs/compute-capacity, documented."""

_CREATE = re.compile(r"\s*CREATE\s+DATABASE\s+[`\"]?([^`\"\s;]+)[`\"]?\s*;?\s*", re.IGNORECASE)


def under(held: dict[str, N], prefix: str) -> list[N]:
    """What is held by a name that begins so, newest first."""
    return [one for name, one in reversed(held.items()) if name.startswith(prefix)]


class Databases(World):
    """One method per RPC, with its name; `State.apply` calls it when it has brought the world up to now."""

    def _list_instance_configs(self, request: Message) -> Message:
        return pb.ListInstanceConfigsResponse(instance_configs=[config_of(request.parent)])

    def _get_instance_config(self, request: Message) -> Message:
        """That one, whatever its name."""
        return config_of(request.name)

    def _create_instance(self, request: Message) -> Message:
        """Makes an instance of what is asked for; one that is known only by its databases is no obstacle."""
        name, now = f"{request.parent}/instances/{request.instance_id}", stamp(self.now)
        refusals.check_form("instance name", name)
        if name in self.instances and self.instances[name].HasField("create_time"):
            raise refusals.exists("Instance", name)
        self.instances[name] = made = copied(request.instance)
        made.processing_units = made.processing_units or made.node_count * UNITS_PER_NODE
        made.node_count = made.processing_units // UNITS_PER_NODE
        made.name, made.state = name, pb.Instance.READY
        made.create_time.CopyFrom(now)
        return self._done_at_once(name, pb.CreateInstanceMetadata(instance=made, start_time=now, end_time=now), made)

    def _get_instance(self, request: Message) -> Message:
        return copied(refusals.found("Instance", self.instances, request.name))

    def _list_instances(self, request: Message) -> Message:
        """Those of a project, by name and on one page."""
        names = sorted(name for name in self.instances if name.startswith(f"{request.parent}/"))
        return pb.ListInstancesResponse(instances=map(self.instances.get, names))

    def _delete_instance(self, request: Message) -> Message:
        inside = f"{request.name}/"
        if under(self.backups, inside):
            raise refusals.INSTANCE_HAS_BACKUPS(request.name)
        for database in reversed(under(self.databases, inside)):
            self.forget_database(self.now, database.message.name)
        self.instances.pop(request.name, None)
        return pb.Empty()

    def _create_database(self, request: Message) -> Message:
        found = _CREATE.fullmatch(request.create_statement)
        if found is None:
            raise refusals.invalid(f"Invalid CREATE DATABASE statement: {request.create_statement!r}")
        refusals.check_form("instance name", request.parent)
        refusals.check_form("database id", found[1])
        name = f"{request.parent}/databases/{found[1]}"
        if name in self.databases:
            raise refusals.exists("Database", name)
        dialect = request.database_dialect or STANDARD_DIALECT
        made = self.add_database(name, create_time=stamp(self.now), database_dialect=dialect)
        self._ddl[name] = list(request.extra_statements)
        return self._done_at_once(name, pb.CreateDatabaseMetadata(database=name), made.message)

    def _drop_database(self, request: Message) -> Message:
        self.check_droppable(request.database)
        self.forget_database(self.now, request.database)
        self._ddl.pop(request.database, None)
        return pb.Empty()

    def _get_database(self, request: Message) -> Message:
        refusals.check_form("database name", request.name)
        return copied(self._found_database(request.name))

    def _list_databases(self, request: Message) -> Message:
        self._check_instance(request.parent)
        prefix = f"{request.parent}/databases/"
        return self._page(under(self.databases, prefix), prefix, request, pb.ListDatabasesResponse)

    def _get_database_ddl(self, request: Message) -> Message:
        """The statements as they came; nothing reads them."""
        return pb.GetDatabaseDdlResponse(statements=self._statements(request.database))

    def _update_database_ddl(self, request: Message) -> Message:
        self._statements(request.database).extend(request.statements)
        metadata = pb.UpdateDatabaseDdlMetadata(database=request.database, statements=request.statements)
        return self._done_at_once(request.database, metadata, pb.Empty())

    def forget_database(self, now: datetime, name: str) -> None:
        """Makes a database unknown that was dropped; what optimized it has ended, and its backup is free (inferred)."""
        self.advance(now)
        held = self.databases.get(name)
        while held is not None and held.work is not None:
            self._end_now(held.work)
        self.databases.pop(name, None)
        for schedule in under(self.schedules, f"{name}/backupSchedules/"):
            drop(schedule.due)
            del self.schedules[schedule.message.name]

    def check_droppable(self, database: str) -> None:
        """Refuses to drop a database of which an unfinished backup exists, by demand or by schedule."""
        backups = (backup.message for backup in self.backups.values())
        if any(one.database == database and one.state == pb.Backup.CREATING for one in backups):
            raise refusals.DROP_BLOCKED(database)

    def _found_database(self, name: str, *, remember: bool = False) -> Message:
        """The database; unless strict, one that nobody declared counts as there, and is listed once remembered."""
        if name in self.databases:
            return self.databases[name].message
        if self._strict:
            raise refusals.missing("Database", name)
        return self.add_database(name).message if remember else database_of(name)

    def _page(self, items: Iterable[N], place: str, request: Message, answer: Message) -> Message:
        """Puts one page of a place's items, newest first, into the first field of an answer of this class.

        A page's token holds where it ended, not how many items came before, so what starts or vanishes between two
        pages neither repeats nor skips an item. It is good for the same parent and filter only, as
        https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups/list documents.
        """
        mark = f"{zlib.crc32((place + getattr(request, 'filter', '')).encode()):08x}"
        if request.page_token:
            number, _, token_mark = request.page_token.partition("-")
            if token_mark != mark or not number.isdecimal():
                raise refusals.invalid(f"Invalid page token: {request.page_token}")
            last = int(number)
            items = (item for item in items if item.uid < last)
        size = request.page_size if 0 < request.page_size <= PAGE_SIZE_MAX else PAGE_SIZE_MAX
        found = list(islice(items, size + 1))
        token = f"{found[size - 1].uid}-{mark}" if len(found) > size else ""
        shown = [item.seen(self.now) for item in found[:size]]
        return answer(**{answer.DESCRIPTOR.fields[0].name: shown}, next_page_token=token)

    def _check_instance(self, name: str) -> None:
        refusals.check_form("instance name", name)
        if self._strict and name not in self.instances:
            raise refusals.missing("Instance", name)

    def _statements(self, database: str) -> list[str]:
        refusals.found("Database", self.databases, database)
        return self._ddl.setdefault(database, [])

    def _done_at_once(self, target: str, metadata: Message, response: Message) -> Message:
        made = pb.Operation(name=f"{target}/operations/_auto_op_{len(self._done) + 1:016}", done=True)
        made.metadata.Pack(metadata)
        made.response.Pack(response)
        self._done[made.name] = made
        return made
