"""Writes the tables of terraform/README.md from the module's own variables and outputs.

`python tools/terraform_docs.py` rewrites the file; a test fails when it would change anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TERRAFORM = Path(__file__).parents[1] / "terraform"
README = TERRAFORM / "README.md"
VARIABLES = ("variables.tf", "variables-spanner.tf")

# `terraform fmt` puts a block's braces and its arguments where these look for them.
_BLOCK = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}\n', re.MULTILINE | re.DOTALL)
_ARGUMENT = re.compile(r"^  (\w+) += (.*?)\n(?=  \w|\n|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """One variable or output.

    Attributes:
        name: Its name.
        arguments: What is set in its block, as it is written there.
    """

    name: str
    arguments: dict[str, str]

    @property
    def description(self) -> str:
        """Its description."""
        return self.arguments["description"].strip('"').replace('\\"', '"')

    @property
    def default(self) -> str:
        """Its default as a reader needs it."""
        default = self.arguments.get("default")
        return "required" if default is None else f"`{default}`"


def entries(file: str) -> list[Entry]:
    """Every variable or output of a file, in its order."""
    text = (TERRAFORM / file).read_text()
    return [Entry(name, dict(_ARGUMENT.findall(body))) for _, name, body in _BLOCK.findall(text)]


def variables() -> list[Entry]:
    """Every variable of the module, in alphabetical order."""
    return sorted((entry for file in VARIABLES for entry in entries(file)), key=lambda entry: entry.name)


def rendered(readme: str) -> str:
    """The README with its tables as they should be."""
    inputs = [f"| `{entry.name}` | {entry.description} | {entry.default} |" for entry in variables()]
    outputs = [f"| `{entry.name}` | {entry.description} |" for entry in entries("outputs.tf")]
    readme = _replaced(readme, "variables", ["| variable | meaning | default |", "|---|---|---|", *inputs])
    return _replaced(readme, "outputs", ["| output | meaning |", "|---|---|", *outputs])


def _replaced(readme: str, name: str, lines: list[str]) -> str:
    begin, end = f"<!-- {name}: written by tools/terraform_docs.py -->\n", f"<!-- end of {name} -->"
    head, found, rest = readme.partition(begin)
    _, also_found, tail = rest.partition(end)
    if not (found and also_found):
        raise ValueError(f"terraform/README.md has no place for the {name}: {begin.strip()} … {end}")
    return f"{head}{begin}{chr(10).join(lines)}\n{end}{tail}"


if __name__ == "__main__":
    README.write_text(rendered(README.read_text()))
