"""What is wrong with a message, in the words of whoever wrote it: what would be right, and no reader's jargon."""

import difflib
import json
import re
from collections.abc import Iterable
from typing import get_args

from backstop.commands import Command, Encryption, EncryptionType, IfCreated
from backstop.errors import BadMessageError
from backstop.followups import FollowUp, Intent

# How alike two words must be to be taken for one and its misspelling; `stop` must never become `start`.
NEAR_MIN = 0.75

# What each command may say.
FIELDS: dict[str, tuple[str, ...]] = {
    str(kind.__struct_config__.tag): ("action", *kind.__struct_fields__) for kind in get_args(Command)
}

_CHOICES: dict[str, tuple[str, ...]] = {
    "action": tuple(FIELDS),
    "if_created": tuple(IfCreated),
    "intent": tuple(Intent),
    "kind": tuple(str(kind.__struct_config__.tag) for kind in get_args(FollowUp)),
    "type": tuple(EncryptionType),
}

_TYPES = {"bool": "true or false", "null": "null", "str": "text"}
_TYPES |= dict.fromkeys(("int", "float"), "a number") | dict.fromkeys(("array", "list"), "a list")
_TYPES |= dict.fromkeys(("object", "dict"), "an object")

# What msgspec says, and what would be right.
_REASONS = (
    (r"datetime", "must be a time with its zone, such as 2026-11-22T02:00:00Z"),
    (r"base64", "must be base64"),
    (r"of length >= 1", "must not be empty"),
    (r"`str` of length <= (\d+)", r"must have at most \1 characters"),
    (r"`array` of length <= (\d+)", r"must hold at most \1"),
    (r"Expected `int.*got `float`", "must be a number without a fraction"),
)

# What Python's reader says where it can't go on, what stands there, and what that usually means.
_CAUSES = (
    (r"Unterminated", "a text without its closing quote"),
    (r"Invalid control", "a line break or a tab within a text"),
    (r".*\n,\s*[}\]]", "a comma after the last one"),
    (r".*\n,?\s*$", "it ends too early"),
    (r".*\n,?\s*'", "single quotes, where JSON has double ones"),
    (r".*\n,?\s*[\u2018-\u201e]", "curly quotes, where JSON has straight ones"),
    (r".*\n,?\s*(//|/\*|#)", "a comment, which JSON doesn't have"),
    (r"Expecting '(.)' delimiter", "a comma or a colon is missing"),
    (r"Extra data", "something follows its end"),
    (r".*\n,?\s*\w", "text without quotes"),
)


def broken_json(text: str) -> str:
    """Says where JSON breaks off and what the likely cause is."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        # A comma before the place belongs to the mistake: some versions stop at it, and some behind it.
        comma = "," if text[: error.pos].rstrip().endswith(",") else ""
        found = f"{error.msg}\n{comma}{text[error.pos :]}"
        cause = next((cause for pattern, cause in _CAUSES if re.match(pattern, found)), "this can't stand here")
        return f"must be JSON; line {error.lineno}, column {error.colno}: {cause}"
    except (ValueError, RecursionError):
        pass
    return "must be JSON, in which no NaN, no number beyond all bounds and no half of a surrogate pair can stand"


def explained(text: str, document: object) -> BadMessageError:
    """Turns msgspec's sentence into the field, the value and what would be right.

    Args:
        text: Such as "Expected `str`, got `int` - at `$.database`".
        document: What was read.
    """
    said, _, path = text.partition(" - at `$")
    path = path.removeprefix(".").removesuffix("`")
    value, parts = document, re.findall(r"[^.\[\]]+", path)
    for part in parts:
        inner = value.get(part) if isinstance(value, dict) else None
        value = value[int(part)] if isinstance(value, list) else inner
    if absent := re.fullmatch(r"Object (?:contains unknown|missing required) field `(.*)`", said, re.DOTALL):
        holder, field = value if isinstance(value, dict) else {}, absent[1]
        reason = "must be given" if " missing " in said else _unknown(field, holder.get("action"))
        return BadMessageError(f"{path}.{field}".removeprefix("."), holder.get(field), reason)
    return BadMessageError(path or "data", value, _reason(said, parts[-1] if parts else "", value))


def _reason(said: str, field: str, value: object) -> str:
    if said.startswith("must "):
        return said
    if said.startswith("Invalid ") and field in _CHOICES:
        return f"must be one of {', '.join(_CHOICES[field])}{_did_you_mean(str(value), _CHOICES[field])}"
    for pattern, reason in _REASONS:
        if found := re.search(pattern, said):
            return found.expand(reason)
    types = re.fullmatch(r"Expected `(\w+)(?: \| null)?`, got `(\w+)`", said)
    expected, got = (_TYPES.get(kind) for kind in types.groups()) if types else (None, None)
    return f"must be {expected}, not {got}" if expected and got else "can't be read"


def _unknown(field: str, action: object) -> str:
    """What whoever wrote a field that there isn't may have meant; without an action it stands in the encryption."""
    if not isinstance(action, str):
        return f"there is no such field{_did_you_mean(field, Encryption.__struct_fields__)}"
    if owners := [owner for owner, fields in FIELDS.items() if field in fields]:
        return f"`{field}` belongs to {', '.join(owners)}, not to {action}"
    return f"there is no such field{_did_you_mean(field, FIELDS[action])}"


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    folded = {choice.lower(): choice for choice in known}
    near = difflib.get_close_matches(word.lower(), folded, 1, NEAR_MIN)
    return f"; did you mean {folded[near[0]]!r}?" if near else ""
