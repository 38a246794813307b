"""Resource names: checked once, trusted from then on."""

from __future__ import annotations

import pytest

from backstop.names import (
    BackupId,
    BackupName,
    DatabaseName,
    InstanceName,
    Name,
    OperationName,
    QueueName,
    TopicName,
)

INSTANCE = "projects/demo-project/instances/main"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (InstanceName, INSTANCE),
        (InstanceName, "projects/example.com:demo-project/instances/ab"),
        (InstanceName, f"projects/demo-project/instances/{'a' * 64}"),
        (DatabaseName, f"{INSTANCE}/databases/orders_2-eu"),
        (DatabaseName, f"{INSTANCE}/databases/{'a' * 30}"),
        (BackupName, f"{INSTANCE}/backups/{'a' * 60}"),
        (OperationName, f"{INSTANCE}/backups/nightly/operations/_auto_op_17"),
        (BackupId, "a1"),
        (TopicName, "projects/demo-project/topics/follow-ups"),
        (QueueName, "projects/demo-project/locations/europe-west1/queues/Backstop-1"),
    ],
)
def test_a_name_of_its_form_is_that_text(kind: type[Name], text: str) -> None:
    """A name is its own text, of its own type."""
    name = kind(text)

    assert name == text
    assert isinstance(name, kind)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (InstanceName, ""),
        (InstanceName, "projects/Demo-Project/instances/main"),
        (InstanceName, "projects/demo-project/instances/m"),
        (InstanceName, f"projects/demo-project/instances/{'a' * 65}"),
        (InstanceName, f"{INSTANCE}/"),
        (InstanceName, f"{INSTANCE}\n"),
        (InstanceName, f"{INSTANCE}/databases/orders"),
        (InstanceName, f"//spanner.googleapis.com/{INSTANCE}"),
        (DatabaseName, f"{INSTANCE}/databases/Orders"),
        (DatabaseName, f"{INSTANCE}/databases/{'a' * 31}"),
        (DatabaseName, f"{INSTANCE}/databases/orders-"),
        (BackupName, f"{INSTANCE}/backups/1nightly"),
        (BackupName, f"{INSTANCE}/backups/{'a' * 61}"),
        (BackupName, f"{INSTANCE}/backups/../backups/nightly"),
        (OperationName, f"{INSTANCE}/databases/orders/operations/_auto_op_17"),
        (OperationName, f"{INSTANCE}/backups/nightly/operations/"),
        (BackupId, "a"),
        (BackupId, "naïve"),
        (TopicName, "projects/demo-project/topics/1a"),
        (TopicName, "follow-ups"),
        (QueueName, "projects/demo-project/queues/backstop"),
    ],
)
def test_another_text_is_refused_with_the_form_that_it_should_have(kind: type[Name], text: str) -> None:
    """Nothing that isn't a name can pass for one, and the error says what would."""
    with pytest.raises(ValueError, match="must have the form") as caught:
        kind(text)

    assert kind.form in str(caught.value)


def test_names_know_what_they_belong_to() -> None:
    """An operation belongs to a backup, a backup and a database to an instance."""
    operation = OperationName(f"{INSTANCE}/backups/nightly/operations/_auto_op_17")
    database = DatabaseName(f"{INSTANCE}/databases/orders")

    assert operation.backup == f"{INSTANCE}/backups/nightly"
    assert operation.backup.instance == database.instance == INSTANCE
    assert (operation.backup.backup_id, database.database_id) == ("nightly", "orders")
    assert database.instance.backup(BackupId("nightly")) == operation.backup
