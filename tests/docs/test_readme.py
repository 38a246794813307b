"""What the README shows is what the project does."""

import re
from pathlib import Path

import pytest

from backstop.commands import Cancel, Follow, Start, Sweep
from backstop.events import Outcome
from backstop.gcp import settings
from backstop.wire import parse_command
from emulators.demo.scenarios import SCENARIOS, Scenario

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MESSAGES = [line for block in re.findall(r"```json\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]


@pytest.mark.parametrize("message", MESSAGES)
def test_each_example_is_a_command(message: str) -> None:
    """The parser takes every message that the README shows."""
    parse_command(message.encode())


def test_there_is_an_example_of_each_command() -> None:
    """The examples cover all that can be asked for."""
    assert {type(parse_command(message.encode())) for message in MESSAGES} == {Start, Cancel, Follow, Sweep}


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
    """The table of settings names every variable that the function reads."""
    table = README.partition("| variable | meaning |")[2].partition("\n\n")[0]
    source = Path(settings.__file__).read_text(encoding="utf-8")

    assert set(re.findall(r"`(BACKSTOP_\w+)`", table)) == set(re.findall(r'"(BACKSTOP_\w+)"', source))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.instance_id)
def test_the_demo_is_shown_as_it_ends(scenario: Scenario) -> None:
    """The README's table has each backup of the demo with the outcome that the demo demands of it."""
    rows = {cells[1].strip(): cells for line in README.splitlines() if len(cells := line.split("│")) == 8}
    cells = rows[scenario.instance_id]

    assert cells[2].strip() == scenario.expected[-1][-1]
    assert (cells[6].strip() == "nothing") is not scenario.left_behind


PAGES = sorted(path for path in ROOT.rglob("*.md") if not {".venv", ".git"} & set(path.parts))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_links_to_what_is_not_there(page: Path) -> None:
    """Every relative link leads to a file or a folder of the repository."""
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]

    assert not broken
