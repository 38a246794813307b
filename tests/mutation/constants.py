"""Mutants of what stands outside functions, where mutmut makes none: the named constants, and the table."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from backstop.followups import Intent
from backstop.lifecycle import TRANSITIONS, Action, Rule, State
from backstop.polling import Expectation

NAMED = re.compile(r"^(_?[A-Z][A-Z_]+)(?:: .+)? = ", re.MULTILINE)
UNUSED_LATER = {"names"}
"""Its constants go into patterns that are compiled at once, so to change them later changes nothing."""


def mutants(core: Path) -> dict[str, Callable[[], None]]:
    """For each mutant, written as its change, the function that makes it of this process."""
    found: dict[str, Callable[[], None]] = {}
    for path in sorted(core.glob("*.py")):
        if path.stem not in UNUSED_LATER:
            module = importlib.import_module(f"backstop.{path.stem}")
            for name in NAMED.findall(path.read_text(encoding="utf-8")):
                value = getattr(module, name)
                for was, now, other in _others(value):
                    found[f"{path.stem}.{name}\n- {was}\n+ {now}"] = partial(_put, name, value, other)
    for state, row in TRANSITIONS.items():
        for intent, rule in row.items():
            for action in Action:
                if action is not rule.action:
                    change = f"lifecycle.TRANSITIONS {state} {intent}\n- {rule.action.name}\n+ {action.name}"
                    found[change] = partial(_put_rule, state, intent, rule._replace(action=action))
    return found


def _others(value: object) -> Iterator[tuple[object, object, object]]:
    """A few other values, each with how to write what differs."""
    match value:
        case int():
            yield value, value + 1, value + 1
        case float():
            yield value, value * 1.1, value * 1.1
        case timedelta():
            yield value, value + timedelta(seconds=1), value + timedelta(seconds=1)
        case str():
            yield repr(value), repr(f"XX{value}XX"), f"XX{value}XX"
        case frozenset():
            for member in sorted(value):
                yield member, "nothing", value - {member}
        case Expectation():
            yield value.length, value.length * 1.1, replace(value, length=value.length * 1.1)
            yield value.spread, value.spread * 1.1, replace(value, spread=value.spread * 1.1)


def _put(name: str, value: object, other: object) -> None:
    for module in list(sys.modules.values()):
        if module.__name__.startswith("backstop.") and vars(module).get(name) is value:
            setattr(module, name, other)


def _put_rule(state: State, intent: Intent, rule: Rule) -> None:
    TRANSITIONS[state][intent] = rule
