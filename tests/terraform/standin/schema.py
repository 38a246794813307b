"""A provider's schema, read from JSON: what it says to Terraform, and what it finds wrong with a configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from tests.terraform.standin.wire import Value, field, message

NESTING = {"single": 1, "list": 2, "set": 3}

Steps = tuple[str | int, ...]


class Limits(msgspec.Struct, frozen=True):
    """What an attribute's value must be, beyond its type."""

    enum: tuple[str, ...] | None = None
    pattern: str | None = None
    low: float | None = msgspec.field(name="min", default=None)
    high: float | None = msgspec.field(name="max", default=None)


class Attribute(msgspec.Struct, frozen=True):
    """One attribute: r(equired), o(ptional), c(omputed), its type, and its limits."""

    flags: str
    kind: msgspec.Raw
    limits: tuple[Limits, ...] = ()


class Block(msgspec.Struct, frozen=True):
    """A block: its attributes, and the blocks in it."""

    attributes: dict[str, Attribute]
    blocks: dict[str, Block]
    nesting: str = "list"
    min: int | None = 0
    max: int | None = None

    def encode(self) -> bytes:
        """The block as the protocol's Schema.Block."""
        written = b"".join(
            message(
                2,
                field(1, name)
                + field(2, bytes(attribute.kind))
                + b"".join(field(number, flag in attribute.flags) for number, flag in ((4, "r"), (5, "o"), (6, "c"))),
            )
            for name, attribute in sorted(self.attributes.items())
        )
        return written + b"".join(
            message(
                3,
                field(1, name)
                + message(2, block.encode())
                + field(3, NESTING[block.nesting])
                + field(4, block.min or 0)
                + field(5, block.max or 0),
            )
            for name, block in sorted(self.blocks.items())
        )

    def nested(self, value: Mapping[str, Value]) -> Iterator[tuple[Steps, Block, dict[str, Value]]]:
        """Each block that the value holds, with its path."""
        for name, block in self.blocks.items():
            inner = value.get(name)
            for index, item in enumerate(inner if isinstance(inner, list) else [inner]):
                if isinstance(item, dict):
                    yield ((name, index) if block.nesting == "list" else (name,)), block, item

    def problems(self, value: Mapping[str, Value], path: Steps = ()) -> Iterator[tuple[Steps, str]]:
        """What is wrong with a configuration that Terraform itself can't see."""
        for name, attribute in self.attributes.items():
            given = value.get(name)
            if given is None:
                continue
            if attribute.flags == "c":
                yield (*path, name), "is read-only"
            for limit in attribute.limits:
                for text in _violations(limit, given):
                    yield (*path, name), text
        for steps, block, item in self.nested(value):
            yield from block.problems(item, (*path, *steps))


class Schema(msgspec.Struct, frozen=True):
    """Everything a provider offers."""

    source: str
    provider: Block
    resources: dict[str, Block]
    data_sources: dict[str, Block]

    def encode(self) -> bytes:
        """The protocol's GetProviderSchema.Response."""
        return message(1, message(2, self.provider.encode())) + b"".join(
            message(number, field(1, name) + message(2, message(2, block.encode())))
            for number, blocks in ((2, self.resources), (3, self.data_sources))
            for name, block in blocks.items()
        )

    def block(self, name: str) -> Block:
        """The resource or data source of that name."""
        return self.resources.get(name) or self.data_sources[name]


def load(path: Path) -> Schema:
    """Reads `<name>.json`, and adds the hand-written limits of `<name>_limits.json` where there are some."""
    raw = json.loads(path.read_text())
    beside = path.with_name(f"{path.stem}_limits.json")
    for resource, limits in (json.loads(beside.read_text()) if beside.exists() else {}).items():
        for where, limit in limits.items():
            *blocks, name = where.split(".")
            at = raw["resources"][resource]
            for block in blocks:
                at = at["blocks"][block]
            at["attributes"][name].append(limit)
    return msgspec.convert(
        {
            "source": f"registry.terraform.io/{raw['_meta']['provider']}",
            "provider": _block(raw["provider"]),
            "resources": {name: _block(spec) for name, spec in raw["resources"].items()},
            "data_sources": {name: _block(spec) for name, spec in raw["data_sources"].items()},
        },
        Schema,
    )


def _block(raw: dict[str, dict[str, dict[str, object]]]) -> dict[str, object]:
    """Gives the file's short form of an attribute, [flags, type, limits…], its names."""
    attributes: Mapping[str, object] = raw["attributes"]
    named: dict[str, object] = {}
    for name, short in attributes.items():
        assert isinstance(short, list)
        flags, kind, *limits = short
        named[name] = {"flags": flags, "kind": msgspec.Raw(json.dumps(kind).encode()), "limits": limits}
    blocks: Mapping[str, object] = {name: _block(inner) for name, inner in raw["blocks"].items()}  # type: ignore[arg-type]  # the form is recursive
    return {**raw, "attributes": named, "blocks": blocks}


def _violations(limit: Limits, given: Value) -> Iterator[str]:
    if isinstance(given, str) and given:
        if limit.enum and given not in limit.enum:
            yield f"must be one of {', '.join(limit.enum)}, not {given}"
        if limit.pattern and not re.fullmatch(limit.pattern, given, re.DOTALL):
            yield f"{given!r} does not match {limit.pattern}"
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        if limit.low is not None and given < limit.low:
            yield f"must be at least {limit.low}, not {given}"
        if limit.high is not None and given > limit.high:
            yield f"must be at most {limit.high}, not {given}"
