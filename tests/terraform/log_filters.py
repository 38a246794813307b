"""Cloud Logging's query language, as far as the module and its runbooks use it.

https://docs.cloud.google.com/logging/docs/view/logging-query-language (documented)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Entry = Mapping[str, object]
Filter = Callable[[Entry], bool]

SEVERITIES = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY")

_COMPARISON = re.compile(
    r'log_id\("(?P<log>[^"]*)"\)'
    r'|(?P<path>[\w.@"-]+?)\s*(?P<operator>=~|!~|>=|<=|!=|=|>|<|:)\s*(?P<value>"(?:[^"\\]|\\.)*"|[\w*]+)'
)


def compiled(text: str) -> Filter:
    """Reads a filter. OR binds more strongly than AND, as the page says, and so it is a bit's `|` in Python.

    Raises:
        AssertionError: It has something that isn't understood here.
    """
    comparisons = list(_COMPARISON.finditer(text))
    numbers = iter(range(len(comparisons)))
    expression = _COMPARISON.sub(lambda _: f"holds({next(numbers)})", text)
    for word, said in {r"\bAND\b": "and", r"\bOR\b": "|", r"\bNOT\b": "1 -"}.items():
        expression = re.sub(word, said, expression)
    assert re.fullmatch(r"(holds\(\d+\)|and|1 -|[()|\s])+", expression), f"not understood: {text}"
    code = compile(expression.strip(), text, "eval")

    def matches(entry: Entry) -> bool:
        found = {"holds": lambda number: _compared(entry, comparisons[number])}
        return bool(eval(code, found))  # noqa: S307  # as checked above

    return matches


def _compared(entry: Entry, comparison: re.Match[str]) -> bool:
    if comparison["log"]:
        return str(entry.get("logName", "")).endswith("/logs/" + comparison["log"].replace("/", "%2F"))
    value: object = entry
    for part in re.findall(r'"[^"]*"|[^."]+', comparison["path"]):
        value = value.get(part.strip('"')) if isinstance(value, Mapping) else None
    return _holds(value, comparison["operator"], comparison["value"].removeprefix('"').removesuffix('"'))


def _holds(value: object, operator: str, wanted: str) -> bool:
    if isinstance(value, list):
        return any(_holds(one, operator, wanted) for one in value)
    if value is None:
        return operator in ("!=", "!~")
    text = str(value)
    match operator:
        case ":":
            return wanted == "*" or wanted.lower() in text.lower()
        case "=~" | "!~":
            return (re.search(wanted, text) is not None) is (operator == "=~")
        case "=" | "!=":
            return (text == wanted) is (operator == "=")
    order: Callable[[str], float] = SEVERITIES.index if wanted in SEVERITIES else float
    left, right = order(text), order(wanted)
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator]
