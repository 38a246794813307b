"""What property tests draw from: names, times, commands and follow-ups, all of them valid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from backstop.commands import (
    CLAIM_LENGTH_MAX,
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
from backstop.events import Outcome, Trigger
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
claims = st.text(st.characters(exclude_categories=["Cs"]), max_size=CLAIM_LENGTH_MAX)
times = st.datetimes(datetime(2020, 1, 1), datetime(2050, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 hypothesis adds it
topics = st.sampled_from(["", "projects/demo-project/topics/commands", "projects/demo-project/topics/others"])
triggers = st.builds(
    Trigger,
    st.from_regex(r"[0-9]{1,20}", fullmatch=True),
    times,
    topics,
    st.sampled_from(["", "start", "cancel", "follow", "sweep"]),
    claims,
    claims,
)


def durations(low: timedelta = timedelta(0), high: timedelta = timedelta(days=400)) -> st.SearchStrategy[Duration]:
    """Whole seconds from `low` to `high`."""
    return st.integers(int(low.total_seconds()), int(high.total_seconds())).map(lambda s: Duration(seconds=s))


_keys = st.lists(texts.filter(bool), min_size=1, max_size=3).map(tuple)
encryptions = st.builds(
    Encryption, st.sampled_from([EncryptionType.USE_DATABASE_ENCRYPTION, EncryptionType.GOOGLE_DEFAULT_ENCRYPTION])
) | st.builds(Encryption, st.just(EncryptionType.CUSTOMER_MANAGED_ENCRYPTION), _keys)
_said = {"dry_run": st.booleans(), "requested_by": claims, "reason": claims}
_unwanted = {"cancel_after": st.none() | durations(high=OPERATION_KEPT), "if_created": st.sampled_from(IfCreated)}
_of_start = {
    "retention": st.none() | durations(RETENTION_MIN, RETENTION_MAX),
    "version_time": st.none() | times,
    "encryption": st.none() | encryptions,
    "start_within": st.none() | durations(START_WITHIN_MIN, START_WITHIN_MAX),
    **_unwanted,
    **_said,
}
_patterns = st.lists(texts.filter(bool), max_size=3).map(tuple)
starts_of_one = st.builds(Start, database=databases, backup_id=st.none() | backup_ids, **_of_start)
starts_of_many = st.builds(Start, instance=instances, databases=_patterns, **_of_start)
_targets = st.one_of(
    *(
        st.fixed_dictionaries({name: values})
        for name, values in (("operation", operations), ("backup", backups), ("database", databases))
    )
)
_choices = {"if_created": st.sampled_from(IfCreated), "include_scheduled": st.booleans(), **_said}
cancels = st.builds(lambda target, choices: Cancel(**target, **choices), _targets, st.fixed_dictionaries(_choices))
follows = st.builds(
    lambda target, choices: Follow(**target, **choices), _targets, st.fixed_dictionaries({**_choices, **_unwanted})
)
sweeps = st.builds(Sweep, instance=instances, **{**_choices, **_unwanted})
commands: st.SearchStrategy[Command] = starts_of_one | starts_of_many | cancels | follows | sweeps

_steps = st.integers(0, 10_000)
_every = {"trigger": triggers, "step": _steps, "failures": _steps}
polls = st.builds(
    Poll,
    operation=operations,
    intent=st.sampled_from(Intent),
    give_up_at=times,
    database=st.none() | databases,
    unwanted_from=st.none() | times,
    if_created=st.sampled_from(IfCreated),
    include_scheduled=st.booleans(),
    expected_seconds=st.none() | _steps,
    expected_spread=st.floats(0, 10),
    percent=st.none() | st.integers(0, 100),
    percent_seconds=_steps,
    seen_running=st.booleans(),
    missing=st.sampled_from([None, "operation", "backup"]),
    told=st.lists(st.sampled_from(Outcome), max_size=3).map(tuple),
    **_every,
)
retries = st.builds(Retry, command=commands, **_every)
_ids = st.lists(database_ids, max_size=3).map(tuple)
fan_outs = st.builds(
    FanOut,
    command=starts_of_many,
    left=st.none() | _ids,
    started=_ids,
    refused=st.dictionaries(texts, texts, max_size=3),
    **_every,
)
follow_ups: st.SearchStrategy[FollowUp] = polls | retries | fan_outs
