"""Reads the deployment by hand: the shell block of its page as gcloud commands, with their variables filled in."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import msgspec

from tests.terraform.grants import Grant, shortened
from tests.terraform.standin.computed import project_number

if TYPE_CHECKING:
    from collections.abc import Iterator

_ASSIGNMENT = re.compile(r"[A-Z]+=")

URI = "URI"
"""Stands for the function's address, which only Google knows."""


class Command(msgspec.Struct, frozen=True):
    """One gcloud command: its words, up to the first flag's, and its flags."""

    words: tuple[str, ...]
    flags: dict[str, str]

    def starts(self, *words: str) -> bool:
        """Whether it is this command."""
        return self.words[: len(words)] == words


def shell_block(markdown: str) -> str:
    """The first shell block of the page.

    Raises:
        ValueError: There is none; the page lost it.
    """
    block = re.search(r"^```bash\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)
    if block is None:
        raise ValueError("the page has no shell block")
    return block[1]


def commands(block: str) -> list[Command]:
    """The block's gcloud commands, in order."""
    values: dict[str, str] = {}
    found: list[Command] = []
    for line in block.replace("\\\n", " ").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if _ASSIGNMENT.match(line):
            values.update(_assignments(line, values))
        elif line.startswith("gcloud "):
            found.append(_command(_filled(line, values)))
    return found


def _assignments(line: str, values: dict[str, str]) -> Iterator[tuple[str, str]]:
    question = re.fullmatch(r"([A-Z]+)=\"\$\(gcloud .*--format='value\((.+)\)'\)\"", line)
    if question is not None:
        answers = {"projectNumber": project_number(values["PROJECT"]), "serviceConfig.uri": URI}
        yield question[1], answers[question[2]]
        return
    for word in shlex.split(_filled(line, values)):
        name, _, value = word.partition("=")
        yield name, value


def _filled(line: str, values: dict[str, str]) -> str:
    return re.sub(r"\$([A-Z]+)", lambda match: values[match[1]], line)


def _command(line: str) -> Command:
    words = shlex.split(line)[1:]
    flags = dict(word[2:].partition("=")[::2] for word in words if word.startswith("--"))
    return Command(tuple(word for word in words if not word.startswith("--")), flags)


BINDINGS = {
    ("iam", "service-accounts"): "account",
    ("projects",): "project",
    ("pubsub", "subscriptions"): "subscription",
    ("pubsub", "topics"): "topic",
    ("run", "services"): "service",
    ("spanner", "instances"): "instance",
    ("storage", "buckets"): "bucket",
    ("tasks", "queues"): "queue",
}
"""What each command's add-iam-policy-binding is about, in the words of the table of grants."""


def grants(found: list[Command], project: str) -> list[Grant]:
    """Every role that the commands grant, as the table of grants writes it."""
    return sorted(_grant(command, project) for command in found if "add-iam-policy-binding" in command.words)


def _grant(command: Command, project: str) -> Grant:
    *kind, _, target = command.words
    what = BINDINGS[tuple(kind)]
    on = f"{project}/{target}" if what == "instance" else shortened(target.removeprefix("gs://"), project)
    _, _, condition = command.flags.get("condition", "").partition("expression=")
    return Grant(shortened(command.flags["member"], project), command.flags["role"], f"{what} {on}", condition)
