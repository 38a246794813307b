"""Instances and databases without Google's emulator, as its clients and `gcloud` ask for them."""
# mypy: disallow-untyped-calls=False
# The clients have no types.

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import spanner
from spanner_world import INSTANCE, ORDERS, ask, connected

from spanner_backup_emulator.serving import wall_clock
from spanner_backup_emulator.spanner.server import SpannerEmulator

pytestmark = pytest.mark.spanner_emulator(strict=True, rest_port=0)


@pytest.mark.usefixtures("spanner_emulator")
def test_a_client_makes_an_instance_and_a_database_backs_it_up_and_takes_both_away() -> None:
    """What a fixture of a client's tests does; nothing is there before, and nothing twice."""
    client: Any = spanner.Client(project="p")
    with closing(client):
        (config,) = client.list_instance_configs()
        instance = client.instance("i", configuration_name=config.name, display_name="Mine", node_count=2)
        assert not instance.exists()
        instance.create().result(60)
        database = instance.database("orders", ddl_statements=["CREATE TABLE t (a INT64) PRIMARY KEY (a)"])
        database.create().result(60)
        with pytest.raises(exceptions.AlreadyExists):
            instance.create()
        with pytest.raises(exceptions.AlreadyExists):
            database.create()
        database.update_ddl(["DROP TABLE t"]).result(60)
        instance.reload()
        database.reload()
        backup = instance.backup("nightly", database=database, expire_time=wall_clock() + timedelta(days=1))
        backup.create().result(60)

        assert [one.name for one in client.list_instances()] == [INSTANCE]
        assert (instance.display_name, instance.node_count) == ("Mine", 2)
        assert list(database.ddl_statements) == ["CREATE TABLE t (a INT64) PRIMARY KEY (a)", "DROP TABLE t"]
        assert [one.name for one in instance.list_databases()] == [ORDERS]
        with pytest.raises(exceptions.FailedPrecondition, match="it contains backups"):
            instance.delete()
        backup.delete()
        database.drop()
        assert not database.exists()
        instance.delete()
        assert not instance.exists()


@pytest.mark.spanner_plan("1h")
def test_a_database_is_not_dropped_while_its_backup_is_made_and_an_odd_statement_makes_none(
    spanner_emulator: SpannerEmulator,
) -> None:
    """As the service has it (documented); a dialect is kept."""
    spanner_emulator.add_database(ORDERS)
    with connected(spanner_emulator.address) as admin:
        backup = {"database": ORDERS, "expire_time": wall_clock() + timedelta(days=1)}
        admin.create_backup(request={"parent": INSTANCE, "backup_id": "nightly", "backup": backup})

        with pytest.raises(exceptions.FailedPrecondition, match="cannot be dropped"):
            admin.drop_database(database=ORDERS)
        with pytest.raises(exceptions.InvalidArgument, match="Invalid CREATE DATABASE statement"):
            admin.create_database(parent=INSTANCE, create_statement="DROP DATABASE orders")
        made = admin.create_database(
            request={"parent": INSTANCE, "create_statement": 'CREATE DATABASE "pg"', "database_dialect": "POSTGRESQL"}
        )
        assert made.result().database_dialect.name == "POSTGRESQL"


def test_gcloud_waits_for_an_instance_and_a_database_by_their_operations(spanner_emulator: SpannerEmulator) -> None:
    """It reads an operation until it is done, also one that was done in the answer."""
    (config,) = ask(spanner_emulator, "GET", "projects/p/instanceConfigs")["instanceConfigs"]
    body = {"instanceId": "i", "instance": {"config": config["name"], "displayName": "Mine", "nodeCount": 1}}
    for operation in (
        ask(spanner_emulator, "POST", "projects/p/instances", body),
        ask(spanner_emulator, "POST", f"{INSTANCE}/databases", {"createStatement": "CREATE DATABASE `orders`"}),
    ):
        assert ask(spanner_emulator, "GET", operation["name"]) == operation
        assert operation["done"]
    assert ask(spanner_emulator, "GET", config["name"]) == config
    assert ask(spanner_emulator, "GET", INSTANCE)["displayName"] == "Mine"
    assert [one["name"] for one in ask(spanner_emulator, "GET", "projects/p/instances")["instances"]] == [INSTANCE]
    assert ask(spanner_emulator, "GET", f"{ORDERS}/ddl") == {}
    ask(spanner_emulator, "DELETE", ORDERS)
    ask(spanner_emulator, "DELETE", INSTANCE)
    assert ask(spanner_emulator, "GET", "projects/p/instances") == {}
