"""What is wrong with a message, in the words of whoever wrote it: what would be right, and no reader's jargon."""

import difflib
import json
import re
from collections.abc import Iterable
from typing import get_args

from backstop.commands import CLAIM_LENGTH_MAX, Command, Encryption, EncryptionType, IfCreated
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

_TYPES = {
    "array": "a list",
    "bool": "true or false",
    "dict": "an object",
    "float": "a number",
    "int": "a number",
    "list": "a list",
    "null": "null",
    "object": "an object",
    "str": "text",
}

# What msgspec says, and what would be right.
_REASONS = (
    (r"datetime", "must be a time with its zone, such as 2026-11-22T02:00:00Z"),
    (r"base64", "must be base64"),
    (r"of length >= 1", "must not be empty"),
    (rf"of length <= {CLAIM_LENGTH_MAX}", f"must have at most {CLAIM_LENGTH_MAX} characters"),
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
    matched = re.fullmatch(r"(.*?)(?: - at `\$([^`]*)`)?", text, re.DOTALL)
    reason, path = (matched[1], (matched[2] or "").removeprefix(".")) if matched else (text, "")
    if absent := re.fullmatch(r"Object (?:contains unknown|missing required) field `(.*)`", reason, re.DOTALL):
        field = absent[1]
        holder = _value_at(document, path)
        value = holder.get(field) if isinstance(holder, dict) else None
        where = f"{path}.{field}".removeprefix(".")
        return BadMessageError(where, value, "must be given" if " missing " in reason else _unknown(field, holder))
    value = _value_at(document, path)
    return BadMessageError(path or "data", value, _reason(reason, re.split(r"[.\[]", path)[-1], value))


def _reason(said: str, field: str, value: object) -> str:
    if said.startswith("must "):
        return said
    if said.startswith("Invalid ") and field in _CHOICES:
        return f"must be one of {', '.join(_CHOICES[field])}{_did_you_mean(str(value), _CHOICES[field])}"
    if reason := next((reason for pattern, reason in _REASONS if re.search(pattern, said)), ""):
        return reason
    types = re.fullmatch(r"Expected `(\w+)(?: \| null)?`, got `(\w+)`", said)
    expected, found = (_TYPES.get(kind) for kind in types.groups()) if types else (None, None)
    return f"must be {expected}, not {found}" if expected and found else "can't be read"


def _unknown(field: str, holder: object) -> str:
    """What whoever wrote a field that there isn't may have meant."""
    action = holder.get("action") if isinstance(holder, dict) else None
    known = FIELDS[action] if isinstance(action, str) else Encryption.__struct_fields__
    owners = [owner for owner, fields in FIELDS.items() if field in fields]
    if isinstance(action, str) and owners:
        return f"`{field}` belongs to {', '.join(owners)}, not to {action}"
    return f"there is no such field{_did_you_mean(field, known)}"


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    folded = {choice.lower(): choice for choice in known}
    near = difflib.get_close_matches(word.lower(), folded, 1, NEAR_MIN)
    return f"; did you mean {folded[near[0]]!r}?" if near else ""


def _value_at(document: object, path: str) -> object:
    """What stands at a path such as `encryption.kms_key_names[0]`; None if nothing does."""
    for part in re.findall(r"[^.\[\]]+", path):
        if isinstance(document, list):
            document = document[int(part)]
        else:
            document = document.get(part) if isinstance(document, dict) else None
    return document
