"""The filter language: every form that Google documents or its clients send, and what can't be understood."""

from __future__ import annotations

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spanner_world import DAY, HOUR, INSTANCE, NIGHTLY, ORDERS, SCHEDULE, START

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.messages import Message, stamp
from spanner_backup_emulator.spanner.filters import (
    NESTING_COUNT_MAX,
    Field,
    FilterError,
    Kind,
    backup_filter,
    compile_filter,
    operation_filter,
)
from spanner_backup_emulator.spanner.messages import pb
from spanner_backup_emulator.spanner.plans import Plan
from spanner_backup_emulator.spanner.work import Resource, Work

CREATE = "type.googleapis.com/google.spanner.admin.database.v1.CreateBackupMetadata"
COPY = "type.googleapis.com/google.spanner.admin.database.v1.CopyBackupMetadata"

BACKUP = pb.Backup(
    name=NIGHTLY,
    database=ORDERS,
    state="READY",
    create_time=stamp(START),
    version_time=stamp(START),
    expire_time=stamp(START + DAY),
    size_bytes=5000,
    backup_schedules=[SCHEDULE],
)
READY = Resource(1, BACKUP)


def _work(name: str, metadata: Message, *, response: Message = None, **fields: object) -> Work:
    """An operation that has ended."""
    operation = pb.Operation(name=name, done=True, **fields)
    if response is not None:
        operation.response.Pack(response)
    return Work(2, operation, metadata, READY, None, "", Plan(), START, START)


_PROGRESS = {"progress_percent": 100, "start_time": stamp(START), "end_time": stamp(START + HOUR)}
DONE = _work(
    f"{NIGHTLY}/operations/_auto_op_1",
    pb.CreateBackupMetadata(name=NIGHTLY, database=ORDERS, progress=_PROGRESS, cancel_time=stamp(START + HOUR / 2)),
    response=BACKUP,
)
FAILED_COPY = _work(
    f"{INSTANCE}/backups/copy/operations/_auto_op_2",
    pb.CopyBackupMetadata(name=f"{INSTANCE}/backups/copy", source_backup=NIGHTLY),
    error={"code": Code.INTERNAL, "message": "disk on fire"},
)
RESTORED = _work(
    f"{INSTANCE}/databases/restored/operations/_auto_op_3",
    pb.RestoreDatabaseMetadata(
        name=f"{INSTANCE}/databases/restored", backup_info={"backup": NIGHTLY}, progress=_PROGRESS
    ),
    response=pb.Database(name=f"{INSTANCE}/databases/restored", state="READY"),
)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("  ", True),
        ("done:true", True),
        ("done=false", False),
        ("done != FALSE", True),
        ("name:_AUTO_op_1", True),
        ("name:_auto_op_2", False),
        (f'name="{DONE.name}"', True),
        ('name="_auto_op_1"', False),
        (f"metadata.@type:{CREATE}", True),
        (f"metadata.@type={COPY}", False),
        (f"(metadata.@type={CREATE}) AND (metadata.database:ord)", True),
        (f"(metadata.@type:{CREATE}) AND (metadata.database:{ORDERS})", True),
        (f"(metadata.@type={CREATE}) AND (metadata.database:users)", False),
        (f'metadata.database:"{ORDERS}"', True),
        (f'metadata.database="{ORDERS}"', True),
        ('metadata.database="orders"', False),
        ('metadata.database!="orders"', True),
        (f'(metadata.name:nightly) (metadata.progress.start_time < "{(START + HOUR).isoformat()}")', True),
        ('metadata.progress.start_time > "2026-11-22T02:00:00Z"', False),
        ('metadata.progress.start_time >= "2026-11-22T02:00:00Z"', True),
        ("metadata.progress.start_time<=2026-11-22T02:00:00.000001Z", True),
        ('metadata.progress.start_time = "2026-11-22T04:00:00+02:00"', True),
        ('metadata.progress.start_time = "2026-11-21T21:30:00-04:30"', True),
        ('metadata.progress.end_time != "2026-11-22T02:00:00Z"', True),
        ('metadata.cancel_time > "2026-11-22T02:00:00Z"', True),
        ("metadata.progress.progress_percent = 100", True),
        ("metadata.progress.progress_percent < -1", False),
        ("metadata.source_backup:nightly", False),
        ("error:*", False),
        ("NOT error:*", True),
        ("-(error:*)", True),
        ("response.@type:Backup", True),
        ("response.state:READY", True),
        ("response.size_bytes>4999", True),
        ("done:true AND (name:nowhere OR name:nightly)", True),
        ("NOT (done:true AND name:nightly)", False),
    ],
)
def test_a_finished_operation(text: str, matches: bool) -> None:  # noqa: FBT001 - a column of the table
    """Each form of filter says the right thing of one CreateBackup operation."""
    assert operation_filter(text)(DONE) is matches


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        (f"(metadata.@type={COPY}) AND (metadata.source_backup:NIGHTLY) AND (error:*)", True),
        ("error:internal", True),
        ("error.code=13", True),
        ('error.message:"ON FIRE"', True),
        ("response.@type:*", False),
        ("response.name:*", False),
        ("metadata.database:*", False),
        ('metadata.database!="x"', False),
        ("metadata.progress.progress_percent:*", False),
        ("metadata.progress.progress_percent != 7", False),
        (f"((metadata.@type={CREATE}) AND (metadata.database:x)) OR ((metadata.@type={COPY}) AND (error:*))", True),
    ],
)
def test_a_failed_copy(text: str, matches: bool) -> None:  # noqa: FBT001 - a column of the table
    """What an operation does not have matches nothing."""
    assert operation_filter(text)(FAILED_COPY) is matches


def test_a_restore_is_no_backup_operation() -> None:
    """A restore has no source database to filter by, nor a backup in its response; what it has can be named."""
    assert operation_filter("response.@type:v1.Database")(RESTORED)
    assert not operation_filter("metadata.database:restored OR response.size_bytes>=0")(RESTORED)
    assert operation_filter("metadata.backup_info.backup:nightly AND response.name:restored")(RESTORED)


def test_or_binds_closer_than_and() -> None:
    """`A OR B AND C` is `(A OR B) AND C`, as the documentation's own example explains."""
    assert not operation_filter("done:true OR done:true AND error:*")(DONE)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("name:Night", True),
        ("database:orders", True),
        ("state:READY", True),
        ("state:creating", False),
        ('create_time >= "2026-11-22T2:0:0Z" AND state:READY', True),
        ('expire_time < "2026-11-22T14:50:00Z"', False),
        ("version_time:2026-11-22T02:00:00Z", True),
        ("size_bytes > 10000000000", False),
        ("size_bytes > 100", True),
        ("backup_schedules:daily", True),
        ("backup_schedules:weekly", False),
        (r'name:"ni\ghtly"', True),
    ],
)
def test_a_backup(text: str, matches: bool) -> None:  # noqa: FBT001 - a column of the table
    """Each form of filter that the documentation and Google's sample show says the right thing of one backup."""
    assert backup_filter(text)(READY) is matches


@pytest.mark.parametrize(
    "text",
    [
        "nightly",
        "owner:me",
        "name:",
        "name:x AND",
        "name:x OR",
        "NOT",
        "(name:x",
        "name:x)",
        "()",
        'name:"open',
        "done:maybe",
        "done>true",
        "name<x",
        "metadata.progress.start_time < yesterday",
        "metadata.progress.start_time < 2026-13-01T00:00:00Z",
        "metadata.progress.progress_percent = most",
        "(" * NESTING_COUNT_MAX + "name:x" + ")" * NESTING_COUNT_MAX,
    ],
)
def test_what_is_no_filter(text: str) -> None:
    """A filter that can't be understood is INVALID_ARGUMENT, and the text repeats it."""
    with pytest.raises(ApiError) as refused:
        operation_filter(text)

    assert refused.value.code is Code.INVALID_ARGUMENT
    assert text in refused.value.message


def test_a_bad_filter_of_backups_is_refused_too() -> None:
    """Backups have fields of their own, not all of which may be named, and an operation's are none of them."""
    with pytest.raises(ApiError) as refused:
        backup_filter("metadata.database:x")
    with pytest.raises(ApiError, match="unknown field 'max_expire_time'"):
        backup_filter("max_expire_time>2026-11-22T02:00:00Z")

    assert refused.value.code is Code.INVALID_ARGUMENT


_NUMBERS: dict[str, Field[dict[str, int]]] = {name: Field(Kind.NUMBER, operator.itemgetter(name)) for name in "abc"}
_TERMS = st.tuples(st.sampled_from("abc"), st.sampled_from(["<", ">", "=", "!=", "<=", ">="]), st.integers(0, 3))
_WRITTEN = st.recursive(
    _TERMS.map(lambda term: (f"{term[0]}{term[1]}{term[2]}", f"item['{term[0]}']{_python(term[1])}{term[2]}")),
    lambda inner: st.one_of(
        inner.map(lambda one: (f"NOT ({one[0]})", f"(not ({one[1]}))")),
        st.tuples(inner, inner).map(lambda two: (f"({two[0][0]}) AND ({two[1][0]})", f"({two[0][1]} and {two[1][1]})")),
        st.tuples(inner, inner).map(lambda two: (f"({two[0][0]}) OR ({two[1][0]})", f"({two[0][1]} or {two[1][1]})")),
    ),
    max_leaves=8,
)


def _python(sign: str) -> str:
    return "==" if sign == "=" else sign


@given(_WRITTEN, st.fixed_dictionaries(dict.fromkeys("abc", st.integers(0, 3))))
def test_filters_mean_what_python_would(written: tuple[str, str], item: dict[str, int]) -> None:
    """Any nesting of comparisons with AND, OR and NOT decides as the same expression does in Python."""
    text, expression = written

    assert compile_filter(text, _NUMBERS.get)(item) == eval(expression, {"item": item})  # noqa: S307 - built above


@given(st.text(alphabet="abc ()\"'=<>:!-\\ANDORT019", max_size=40))
def test_any_text_is_a_filter_or_a_filter_error(text: str) -> None:
    """Whatever a client sends, reading it ends in a filter or in FilterError."""
    try:
        matches = compile_filter(text, _NUMBERS.get)
    except FilterError:
        return

    assert matches({"a": 0, "b": 1, "c": 9}) in {True, False}
