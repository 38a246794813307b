"""The filter language of subscriptions, which sees the attributes of a message and nothing else.

Documented at https://cloud.google.com/pubsub/docs/subscription-message-filter#filtering_syntax: a key or its value is
asked for, joined by AND or by OR but not by both without parentheses, turned round by NOT or by a minus. That `!=`
holds for a message without the key is inferred.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from spanner_backup_emulator.errors import ApiError, Code

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Match = Callable[[Mapping[str, str]], bool]

FILTER_BYTES_MAX = 256
"""Documented, same page."""

NESTING_COUNT_MAX = 50
"""NOTs and parentheses inside one another: as many as fit, and far fewer than Python's stack holds."""

_TOKEN = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")|(!=|[():.,=-])|([A-Za-z0-9_][A-Za-z0-9_-]*))')
_ESCAPE = re.compile(r"\\(.)")


def compile_filter(text: str) -> Match:
    """Makes a function out of a filter; an empty one matches everything.

    Raises:
        ApiError: INVALID_ARGUMENT (the text is inferred), it is too long or can't be understood.
    """
    if len(text.encode()) > FILTER_BYTES_MAX:
        raise _refusal(text, f"it is longer than {FILTER_BYTES_MAX} bytes")
    return _Parser(text).everything() if text.strip() else lambda _: True


def _refusal(text: str, why: str) -> ApiError:
    return ApiError(Code.INVALID_ARGUMENT, f"Invalid filter '{text}': {why}.")


class _Parser:
    """Reads a filter from left to right, one method for each level."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[str] = []
        self._depth = 0
        at = 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None:
                raise _refusal(text, f"character {at} can't be read")
            self._tokens.append(match[0].strip())
            at = match.end()
        self._tokens.append("")  # The end, so that there is always a next one.

    def everything(self) -> Match:
        """The whole text, with nothing left over."""
        found = self._joined()
        self._expect("")
        return found

    def _joined(self) -> Match:
        terms = [self._term()]
        joint = self._tokens[0]
        while self._tokens[0] in {"AND", "OR"}:
            if self._tokens[0] != joint:
                raise _refusal(self._text, "AND and OR need parentheses between them")
            self._next()
            terms.append(self._term())
        if joint == "OR":
            return lambda attributes: any(term(attributes) for term in terms)
        return lambda attributes: all(term(attributes) for term in terms)

    def _term(self) -> Match:
        self._depth += 1
        if self._depth > NESTING_COUNT_MAX:
            raise _refusal(self._text, "it is too deeply nested")
        word = self._next()
        if word in {"NOT", "-"}:
            inner = self._term()
            found: Match = lambda attributes: not inner(attributes)  # noqa: E731 - as every other one here
        elif word == "(":
            found = self._joined()
            self._expect(")")
        elif word == "hasPrefix":
            found = self._prefix()
        else:
            found = self._attribute(word)
        self._depth -= 1
        return found

    def _prefix(self) -> Match:
        self._expect("(", "attributes", ".")
        key = self._name()
        self._expect(",")
        start = self._string()
        self._expect(")")
        return lambda attributes: key in attributes and attributes[key].startswith(start)

    def _attribute(self, word: str) -> Match:
        if word != "attributes":
            raise _refusal(self._text, f"'{word}' is not expected")
        if self._next(":", ".") == ":":
            key = self._name()
            return lambda attributes: key in attributes
        key = self._name()
        equal = self._next("=", "!=") == "="
        value = self._string()
        return lambda attributes: (attributes.get(key) == value) is equal

    def _name(self) -> str:
        """A key: as it is, where it has no other characters than letters, digits, `_` and `-`, or quoted."""
        if self._tokens[0].startswith('"'):
            return self._string()
        word = self._next()
        if not word[:1].isalnum() and not word.startswith("_"):
            raise _refusal(self._text, f"a key is expected, not '{word}'")
        return word

    def _string(self) -> str:
        word = self._next()
        if not word.startswith('"'):
            raise _refusal(self._text, f"a quoted value is expected, not '{word}'")
        return _ESCAPE.sub(r"\1", word[1:-1])

    def _expect(self, *tokens: str) -> None:
        for word in tokens:
            self._next(word)

    def _next(self, *expected: str) -> str:
        word = self._tokens[0]
        if expected and word not in expected:
            raise _refusal(self._text, f"'{word}' stands where {' or '.join(expected) or 'the end'} is expected")
        if word:
            del self._tokens[0]
        return word
