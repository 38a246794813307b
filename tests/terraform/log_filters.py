"""Cloud Logging's query language, as far as the module and its runbooks use it.

https://docs.cloud.google.com/logging/docs/view/logging-query-language (documented)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NoReturn

Entry = Mapping[str, object]
Filter = Callable[[Entry], bool]

SEVERITIES = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY")

_TOKEN = re.compile(
    r'\s*(log_id\("[^"]*"\)|\(|\)|AND\b|OR\b|NOT\b|[\w.@"-]+\s*(?:=~|!~|>=|<=|!=|=|>|<|:)\s*(?:"(?:[^"\\]|\\.)*"|[\w*]+))'
)
_COMPARISON = re.compile(r'([\w.@"-]+?)\s*(=~|!~|>=|<=|!=|=|>|<|:)\s*(.+)', re.DOTALL)


def compiled(text: str) -> Filter:
    """Reads a filter.

    Raises:
        AssertionError: It has something that isn't understood here.
    """
    tokens = _TOKEN.findall(text)
    assert re.sub(r"\s", "", "".join(tokens)) == re.sub(r"\s", "", text), f"not understood: {text}"
    reader = _Reader([*tokens, ""])
    found = reader.all_of()
    assert reader.here == "", f"nothing should follow {reader.here!r} in {text}"
    return found


class _Reader:
    """OR binds more strongly than AND, as the page says, and two comparisons side by side are joined by AND."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens

    @property
    def here(self) -> str:
        return self._tokens[0]

    def all_of(self) -> Filter:
        parts = [self._any_of()]
        while self.here not in ("", ")"):
            if self.here == "AND":
                self._tokens.pop(0)
            parts.append(self._any_of())
        return lambda entry: all(part(entry) for part in parts)

    def _any_of(self) -> Filter:
        parts = [self._one()]
        while self.here == "OR":
            self._tokens.pop(0)
            parts.append(self._one())
        return lambda entry: any(part(entry) for part in parts)

    def _one(self) -> Filter:
        word = self._tokens.pop(0)
        if word == "NOT":
            inner = self._one()
            return lambda entry: not inner(entry)
        if word == "(":
            group = self.all_of()
            assert self._tokens.pop(0) == ")"
            return group
        if word.startswith("log_id"):
            end = "/logs/" + word[8:-2].replace("/", "%2F")
            return lambda entry: str(entry.get("logName", "")).endswith(end)
        compared = _COMPARISON.fullmatch(word) or _never(word)
        path, operator, value = compared[1], compared[2], compared[3].removeprefix('"').removesuffix('"')
        return lambda entry: _holds(_value(entry, path), operator, value)


def _never(word: str) -> NoReturn:
    raise AssertionError(f"not understood: {word}")


def _value(entry: Entry, path: str) -> object:
    value: object = entry
    for part in re.findall(r'"[^"]*"|[^."]+', path):
        value = value.get(part.strip('"')) if isinstance(value, Mapping) else None
    return value


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
