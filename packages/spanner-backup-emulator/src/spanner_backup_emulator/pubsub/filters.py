"""The filter language of subscriptions, which sees the attributes of a message and nothing else.

Documented at https://cloud.google.com/pubsub/docs/subscription-message-filter#filtering_syntax: a key or its value is
asked for, joined by AND or by OR but not by both without parentheses, turned round by NOT or by a minus. That `!=`
holds for a message without the key is inferred.
"""

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from spanner_backup_emulator.errors import ApiError, Code

Match: TypeAlias = Callable[[Mapping[str, str]], bool]  # Whether a message with these attributes is meant.

FILTER_BYTES_MAX = 256  # Documented, same page.
NESTING_COUNT_MAX = 50  # NOTs and parentheses inside one another: as many as fit, far fewer than Python's stack holds.

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|!=|[():.,=-]|[A-Za-z0-9_][A-Za-z0-9_-]*|(?P<other>\S))')
_ESCAPE = re.compile(r"\\(.)")


def compile_filter(text: str) -> Match:
    """Makes a function out of a filter; an empty one matches everything, a wrong one is refused (texts inferred)."""
    parser = _Parser(text)
    found = parser.joined(depth=1) if text.strip() else lambda _: True
    parser.next("")
    return found


class _Parser:
    """Reads a filter from left to right, one method for each level."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[str] = []
        if len(text.encode()) > FILTER_BYTES_MAX:
            raise self._refusal(f"it is longer than {FILTER_BYTES_MAX} bytes")
        for match in _TOKEN.finditer(text):
            if match["other"]:
                raise self._refusal(f"character {match.start()} can't be read")
            self._tokens.append(match[1])
        self._tokens.append("")  # The end, so that there is always a next one.

    def joined(self, depth: int) -> Match:
        terms, joint = [self._term(depth)], self._tokens[0]
        while self._tokens[0] in {"AND", "OR"}:
            if self.next() != joint:
                raise self._refusal("AND and OR need parentheses between them")
            terms.append(self._term(depth))
        how = any if joint == "OR" else all
        return lambda attributes: how(term(attributes) for term in terms)

    def _term(self, depth: int) -> Match:
        if depth > NESTING_COUNT_MAX:
            raise self._refusal("it is too deeply nested")
        word = self.next()
        if word in {"NOT", "-"}:
            inner = self._term(depth + 1)
            return lambda attributes: not inner(attributes)
        if word == "(":
            inner = self.joined(depth + 1)
            self.next(")")
            return inner
        if word == "hasPrefix":
            for opening in ("(", "attributes", "."):
                self.next(opening)
            key = self._key()
            self.next(",")
            start = self._string()
            self.next(")")
            return lambda attributes: key in attributes and attributes[key].startswith(start)
        if word != "attributes":
            raise self._refusal(f"'{word}' is not expected")
        has_value = self.next(":", ".") == "."
        key = self._key()
        if not has_value:
            return lambda attributes: key in attributes
        equal, value = self.next("=", "!=") == "=", self._string()
        return lambda attributes: (attributes.get(key) == value) is equal

    def _key(self) -> str:
        """As it is, where it has no other characters than letters, digits, `_` and `-`, or quoted."""
        if self._tokens[0].startswith('"'):
            return self._string()
        word = self.next()
        if not word[:1].isalnum() and not word.startswith("_"):
            raise self._refusal(f"a key is expected, not '{word}'")
        return word

    def _string(self) -> str:
        word = self.next()
        if not word.startswith('"'):
            raise self._refusal(f"a quoted value is expected, not '{word}'")
        return _ESCAPE.sub(r"\1", word[1:-1])

    def next(self, *expected: str) -> str:
        word = self._tokens[0]
        if expected and word not in expected:
            raise self._refusal(f"'{word}' stands where {' or '.join(expected) or 'the end'} is expected")
        if word:
            del self._tokens[0]
        return word

    def _refusal(self, why: str) -> ApiError:
        return ApiError(Code.INVALID_ARGUMENT, f"Invalid filter '{self._text}': {why}.")
