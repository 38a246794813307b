"""What the README shows is what the project does."""

import re
import shlex
from pathlib import Path

import pytest

from backstop.commands import Cancel, Follow, Start, Sweep
from backstop.events import Outcome
from backstop.gcp import settings
from backstop.wire import parse_command
from demo.scenarios import SCENARIOS, Scenario

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES_MAX = 200
"""A front page is read to its end, or it isn't read."""


def published(page: str) -> list[tuple[str, str]]:
    """Where each command of a page goes, and what it says, as a shell reads its line."""
    words = [shlex.split(line) for line in page.splitlines() if line.startswith("gcloud pubsub topics publish ")]
    return [(topic, message.removeprefix("--message=")) for *_, topic, message in words]


EXAMPLES = published(README)


def test_the_readme_is_short() -> None:
    """It has at most so many lines."""
    assert len(README.splitlines()) <= LINES_MAX


@pytest.mark.parametrize(("topic", "message"), EXAMPLES)
def test_each_example_is_a_command(topic: str, message: str) -> None:
    """A shell makes a command that the parser takes of every line that the README shows, for the deployment's topic."""
    assert topic == "backstop-commands"
    parse_command(message.encode())


def test_there_is_an_example_of_each_command() -> None:
    """The examples cover all that can be asked for."""
    assert {type(parse_command(message.encode())) for _, message in EXAMPLES} == {Start, Cancel, Follow, Sweep}


def test_what_is_tried_on_your_machine_is_a_command() -> None:
    """So is every line of the page about the emulators, for the topic that it makes."""
    examples = published((ROOT / "docs" / "local.md").read_text(encoding="utf-8"))

    assert [topic for topic, _ in examples] == ["commands", "commands"]
    assert [type(parse_command(message.encode())) for _, message in examples] == [Start, Cancel]


def test_each_field_of_each_command_is_described() -> None:
    """The table of fields names what the commands have, and nothing else."""
    table = README.partition("| field | of |")[2].partition("\n\n")[0]
    described = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}

    assert described == {field for command in (Start, Cancel, Follow, Sweep) for field in command.__struct_fields__}


def test_each_outcome_is_described() -> None:
    """The table of outcomes names what can be told, and nothing else."""
    table = README.partition("| outcome | meaning |")[2].partition("\n\n")[0]

    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(Outcome)


def test_each_setting_is_described() -> None:
    """The page of settings names every variable that the function reads."""
    table = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    source = Path(settings.__file__).read_text(encoding="utf-8")

    assert set(re.findall(r"`(BACKSTOP_\w+)`", table)) == set(re.findall(r'"(BACKSTOP_\w+)"', source))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_demo_is_shown_as_it_ends(scenario: Scenario) -> None:
    """The README's table has each backup of the demo with the outcome that the demo demands of it."""
    rows = {cells[0]: cells for line in README.splitlines() if len(cells := re.split(r"  +", line)) == 5}

    assert rows[scenario.name] == [
        scenario.name,
        scenario.asked,
        scenario.spanner,
        scenario.expected[-1][-1],
        "the backup" if scenario.left_behind else "nothing",
    ]


OTHERS = (".venv", ".git", ".pytest_cache", "build", "mutants")
PAGES = sorted(path for path in ROOT.rglob("*.md") if not set(OTHERS) & set(path.relative_to(ROOT).parts))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_links_to_what_is_not_there(page: Path) -> None:
    """Every relative link leads to a file or a folder of the repository."""
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]

    assert not broken
