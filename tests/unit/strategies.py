"""What property tests draw from: names, times, commands and follow-ups, all of them valid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from backstop.commands import (
    OPERATION_KEPT,
    RETENTION_MAX,
    RETENTION_MIN,
    START_WITHIN_MAX,
    START_WITHIN_MIN,
    Cancel,
    Command,
    Encryption,
    EncryptionType,
    Follow,
    IfCreated,
    Start,
    Sweep,
)
from backstop.durations import Duration
from backstop.events import Trigger
from backstop.followups import FanOut, FollowUp, Intent, Poll, Retry
from backstop.names import BackupId, BackupName, DatabaseName, InstanceName, OperationName

instances = st.from_regex(r"projects/demo-project/instances/[a-z][a-z0-9-]{0,5}[a-z]", fullmatch=True).map(InstanceName)
database_ids = st.from_regex(r"[a-z][a-z0-9_-]{0,28}[a-z0-9]", fullmatch=True)
backup_ids = st.from_regex(r"[a-z][a-z0-9_-]{0,58}[a-z0-9]", fullmatch=True).map(BackupId)
databases = st.builds("{}/databases/{}".format, instances, database_ids).map(DatabaseName)
backups = st.builds("{}/backups/{}".format, instances, backup_ids).map(BackupName)
operations = st.builds(
    "{}/operations/{}".format, backups, st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,39}", fullmatch=True)
).map(OperationName)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
times = st.datetimes(datetime(2020, 1, 1), datetime(2050, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 hypothesis adds it
topics = st.sampled_from(["", "projects/demo-project/topics/commands", "projects/demo-project/topics/others"])
triggers = st.builds(Trigger, st.from_regex(r"[0-9]{1,20}", fullmatch=True), times, topics)


def durations(low: timedelta = timedelta(0), high: timedelta = timedelta(days=400)) -> st.SearchStrategy[Duration]:
    """Whole seconds from `low` to `high`."""
    return st.integers(int(low.total_seconds()), int(high.total_seconds())).map(lambda s: Duration(seconds=s))


encryptions = st.builds(
    Encryption,
    type=st.sampled_from([EncryptionType.USE_DATABASE_ENCRYPTION, EncryptionType.GOOGLE_DEFAULT_ENCRYPTION]),
) | st.builds(
    Encryption,
    type=st.just(EncryptionType.CUSTOMER_MANAGED_ENCRYPTION),
    kms_key_names=st.lists(texts.filter(bool), min_size=1, max_size=3).map(tuple),
)
_start_fields = {
    "retention": st.none() | durations(RETENTION_MIN, RETENTION_MAX),
    "version_time": st.none() | times,
    "encryption": st.none() | encryptions,
    "cancel_after": st.none() | durations(high=OPERATION_KEPT),
    "if_created": st.sampled_from(IfCreated),
    "start_within": st.none() | durations(START_WITHIN_MIN, START_WITHIN_MAX),
    "dry_run": st.booleans(),
}
starts_of_one = st.builds(Start, database=databases, backup_id=st.none() | backup_ids, **_start_fields)
starts_of_many = st.builds(
    Start,
    instance=instances,
    databases=st.lists(texts.filter(bool), max_size=3).map(tuple),
    **_start_fields,
)
_targets = st.one_of(
    st.fixed_dictionaries({"operation": operations}),
    st.fixed_dictionaries({"backup": backups}),
    st.fixed_dictionaries({"database": databases}),
)
_choices = {"if_created": st.sampled_from(IfCreated), "include_scheduled": st.booleans(), "dry_run": st.booleans()}
_limits = {"cancel_after": st.none() | durations(high=OPERATION_KEPT)}
cancels = st.builds(lambda target, choices: Cancel(**target, **choices), _targets, st.fixed_dictionaries(_choices))
follows = st.builds(
    lambda target, choices: Follow(**target, **choices), _targets, st.fixed_dictionaries({**_choices, **_limits})
)
sweeps = st.builds(Sweep, instance=instances, **_choices, **_limits)
commands: st.SearchStrategy[Command] = starts_of_one | starts_of_many | cancels | follows | sweeps

_steps = st.integers(0, 10_000)
looks = st.builds(
    Poll,
    trigger=triggers,
    step=_steps,
    operation=operations,
    intent=st.sampled_from(Intent),
    give_up_at=times,
    database=st.none() | databases,
    cancel_at=st.none() | times,
    if_created=st.sampled_from(IfCreated),
    include_scheduled=st.booleans(),
    expected_seconds=st.none() | _steps,
    percent=st.none() | st.integers(0, 100),
    percent_seconds=_steps,
    blocked=st.booleans(),
    failures=_steps,
)
put_backs = st.builds(Retry, trigger=triggers, step=_steps, command=commands, failures=_steps)
fan_outs = st.builds(
    FanOut,
    trigger=triggers,
    step=_steps,
    command=starts_of_many,
    left=st.none() | st.lists(database_ids, max_size=3).map(tuple),
    started=st.lists(database_ids, max_size=3).map(tuple),
    refused=st.dictionaries(texts, texts, max_size=3),
    failures=_steps,
)
follow_ups: st.SearchStrategy[FollowUp] = looks | put_backs | fan_outs
