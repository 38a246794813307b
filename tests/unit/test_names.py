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
    backup_stem,
    unquoted,
)

INSTANCE = "projects/demo-project/instances/main"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (InstanceName, INSTANCE),
        (InstanceName, "projects/p/instances/i"),
        (InstanceName, "projects/123456789012/instances/main"),
        (InstanceName, "projects/example.com:demo-project/instances/ab"),
        (InstanceName, f"projects/demo-project/instances/{'a' * 255}"),
        (DatabaseName, f"{INSTANCE}/databases/orders_2-eu"),
        (DatabaseName, f"{INSTANCE}/databases/Orders.2"),
        (BackupName, f"{INSTANCE}/backups/1_nightly-"),
        (OperationName, f"{INSTANCE}/backups/nightly/operations/_auto_op_17"),
        (BackupId, "a"),
        (TopicName, "projects/demo-project/topics/follow%2Dups"),
        (QueueName, "projects/demo-project/locations/europe-west1/queues/Backstop-1"),
    ],
)
def test_a_name_that_can_do_no_harm_is_for_the_service_to_judge(kind: type[Name], text: str) -> None:
    """Projects of one letter, numbers and domains were refused, although people and emulators have them."""
    name = kind(text)

    assert name == text
    assert isinstance(name, kind)


@pytest.mark.parametrize(
    ("kind", "text", "wrong"),
    [
        (InstanceName, "", "projects is missing"),
        (InstanceName, "projects//instances/main", "PROJECT is missing"),
        (InstanceName, "project/p/instances/main", "'project' stands where 'projects' should"),
        (InstanceName, f"{INSTANCE}/", "'' is too much"),
        (InstanceName, f"{INSTANCE}/databases/orders", "'databases/orders' is too much"),
        (InstanceName, f"//spanner.googleapis.com/{INSTANCE}", "projects is missing"),
        (InstanceName, "projects/p/instances/-", "INSTANCE can't be '-'"),
        (InstanceName, f"projects/p/instances/{'a' * 256}", f"INSTANCE can't be '{'a' * 256}'"),
        *(
            (DatabaseName, f"{INSTANCE}/databases/or{odd}ders", f"DATABASE can't hold {odd!r}")
            for odd in "\n\t ?#\"'`\\()<>=,:*é\u2028\x7f"
        ),
        (BackupName, f"{INSTANCE}/backups/../backups/nightly", "BACKUP can't be '..'"),
        (BackupName, f"{INSTANCE}/backups/.", "BACKUP can't be '.'"),
        (BackupName, f"{INSTANCE}/databases/nightly", "'databases' stands where 'backups' should"),
        (OperationName, f"{INSTANCE}/backups/nightly/operations/", "OPERATION is missing"),
        (BackupId, "a/b", "'b' is too much"),
        (TopicName, "follow-ups", "'follow-ups' stands where 'projects' should"),
        (QueueName, "projects/p/queues/backstop", "'queues' stands where 'locations' should"),
    ],
)
def test_another_text_is_refused_with_its_form_and_the_part_that_is_wrong(
    kind: type[Name], text: str, wrong: str
) -> None:
    """Nothing can leave its place in an address, a filter or a log line, and whoever wrote it sees what to correct."""
    with pytest.raises(ValueError, match="must have the form") as caught:
        kind(text)

    assert str(caught.value) == f"must have the form {kind.form}: {wrong}"


@pytest.mark.parametrize(
    ("database_id", "stem"),
    [("orders_2-eu", "orders_2-eu"), ("Orders.2", "orders-2"), ("2_orders", "orders"), ("42", "backup")],
)
def test_a_derived_id_begins_as_spanner_wants_it_whatever_the_database_is_called(database_id: str, stem: str) -> None:
    """A lower-case letter first, and nothing odd after it: nobody can correct an id that nobody wrote."""
    assert backup_stem(database_id) == stem


def test_names_know_what_they_belong_to() -> None:
    """An operation belongs to a backup, a backup and a database to an instance."""
    operation = OperationName(f"{INSTANCE}/backups/nightly/operations/_auto_op_17")
    database = DatabaseName(f"{INSTANCE}/databases/orders")

    assert operation.backup == f"{INSTANCE}/backups/nightly"
    assert operation.backup.instance == database.instance == INSTANCE
    assert (operation.backup.id, database.id) == ("nightly", "orders")
    assert database.instance.backup(BackupId("nightly")) == operation.backup


@pytest.mark.parametrize(
    ("text", "name"), [("a%2Db", "a-b"), ("a%2db", "a-b"), ("%F0%9F%A6%86", "🦆"), ("%ff%", "�%"), ("%2", "%2")]
)
def test_a_quoted_letter_is_the_letter(text: str, name: str) -> None:
    """A topic `follow%2Dups` was published to for ever, under another name than its own."""
    assert unquoted(text) == name
