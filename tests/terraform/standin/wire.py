"""The part of Terraform's plugin protocol 6 that a provider needs to plan: protobuf fields, and values in msgpack.

A request is read as its fields by number, and a response is written field by field, so no generated code is needed.
https://github.com/hashicorp/terraform/blob/main/docs/plugin-protocol/tfplugin6.proto (documented)
"""

from __future__ import annotations

import json

import msgspec

Value = None | bool | int | float | str | msgspec.msgpack.Ext | list["Value"] | dict[str, "Value"]
"""A Terraform value; the Ext of code 0 stands for one that isn't known yet."""

UNKNOWN = msgspec.msgpack.Ext(0, b"\0")

_VARINT = 0
_BYTES = 2


def field(number: int, value: bytes | str | int) -> bytes:
    """Writes one protobuf field; what is zero or empty is left out, as proto3 does."""
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(value) if value else b""
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | _BYTES) + _varint(len(data)) + data if data else b""


def message(number: int, body: bytes) -> bytes:
    """Writes one field that holds a message, also when that is empty."""
    return _varint(number << 3 | _BYTES) + _varint(len(body)) + body


def dynamic(number: int, value: Value) -> bytes:
    """Writes one field that holds a Terraform value."""
    return message(number, field(1, msgspec.msgpack.encode(value)))


class Request:
    """A request's fields, by number."""

    def __init__(self, data: bytes) -> None:
        self._fields = dict(_fields(data))

    def bytes(self, number: int) -> bytes:
        """The field's bytes; empty where it was left out."""
        value = self._fields.get(number, b"")
        assert isinstance(value, bytes)
        return value

    def text(self, number: int) -> str:
        """The field's text."""
        return self.bytes(number).decode()

    def value(self, number: int) -> dict[str, Value] | None:
        """The field's Terraform value: an object, or null."""
        inner = Request(self.bytes(number))
        packed = inner.bytes(1)
        data: Value = msgspec.msgpack.decode(packed) if packed else json.loads(inner.bytes(2))
        assert data is None or isinstance(data, dict)
        return data


def _fields(data: bytes) -> list[tuple[int, bytes | int]]:
    found: list[tuple[int, bytes | int]] = []
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, at = _read_varint(data, at)
        if tag & 7 == _BYTES:
            found.append((tag >> 3, data[at : at + number]))
            at += number
        else:
            assert tag & 7 == _VARINT, f"wire type {tag & 7} is not used by the protocol"
            found.append((tag >> 3, number))
    return found


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value, at
