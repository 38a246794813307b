"""A provider's schema, read from JSON: what it says to Terraform, and what it finds wrong with a configuration.

A block is an object of nesting, min, max, attributes and blocks. An attribute is a list: flags, r(equired), o(ptional)
and c(omputed), the type, and limits, such as {"enum": […]}, {"pattern": "…"} and {"min": 1, "max": 9}.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.terraform.standin.wire import Value, field, message

NESTING = {"single": 1, "list": 2, "set": 3}

Block = dict[str, Any]
Steps = tuple[str | int, ...]


def load(path: Path) -> Block:
    """Reads `<name>.json`, and adds the hand-written limits of `<name>_limits.json` where there are some."""
    schema: Block = json.loads(path.read_text())
    beside = path.with_name(f"{path.stem}_limits.json")
    for resource, limits in (json.loads(beside.read_text()) if beside.exists() else {}).items():
        for where, limit in limits.items():
            *blocks, name = where.split(".")
            at = schema["resources"][resource]
            for block in blocks:
                at = at["blocks"][block]
            at["attributes"][name].append(limit)
    return schema


def encode(schema: Block) -> bytes:
    """The protocol's GetProviderSchema.Response."""
    return message(1, message(2, _encoded(schema["provider"]))) + b"".join(
        message(number, field(1, name) + message(2, message(2, _encoded(block))))
        for number, kind in ((2, "resources"), (3, "data_sources"))
        for name, block in schema[kind].items()
    )


def _encoded(block: Block) -> bytes:
    attributes = (
        field(1, name)
        + field(2, json.dumps(kind))
        + b"".join(field(number, flag in flags) for number, flag in ((4, "r"), (5, "o"), (6, "c")))
        for name, (flags, kind, *_) in sorted(block["attributes"].items())
    )
    blocks = (
        field(1, name)
        + message(2, _encoded(inner))
        + field(3, NESTING[inner["nesting"]])
        + field(4, inner.get("min") or 0)
        + field(5, inner.get("max") or 0)
        for name, inner in sorted(block["blocks"].items())
    )
    return b"".join(message(2, it) for it in attributes) + b"".join(message(3, it) for it in blocks)


def problems(block: Block, value: Mapping[str, Value], path: Steps = ()) -> Iterator[tuple[Steps, str]]:
    """What is wrong with a configuration that Terraform itself can't see."""
    for name, (flags, _, *limits) in block["attributes"].items():
        given = value.get(name)
        if given is not None and flags == "c":
            yield (*path, name), "is read-only"
        for limit in limits:
            if not _holds(limit, given):
                yield (*path, name), f"must not be {given!r}, but as {limit}"
    for name, inner in block["blocks"].items():
        items = value.get(name)
        for index, item in enumerate(items if isinstance(items, list) else [items]):
            if isinstance(item, dict):
                yield from problems(inner, item, (*path, name, *((index,) if inner["nesting"] == "list" else ())))


def _holds(limit: Mapping[str, Any], given: Value) -> bool:
    if isinstance(given, str) and given:
        return given in limit.get("enum", [given]) and bool(re.fullmatch(limit.get("pattern", ".*"), given, re.DOTALL))
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        return bool(limit.get("min", given) <= given <= limit.get("max", given))
    return True
