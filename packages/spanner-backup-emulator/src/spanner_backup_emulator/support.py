"""What the emulators support, method by method, as support.toml says it: JSON for programs, tables for the pages.

`python -m spanner_backup_emulator.support` prints the JSON. With pages as arguments it renews their tables instead.
"""

import json
import sys
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

_TOLD: dict[str, Any] = tomllib.loads(resources.files(__package__).joinpath("support.toml").read_text(encoding="utf-8"))

BEGIN, END = "<!-- made of support.toml -->\n", "<!-- until here -->\n"
"""What is between these lines of a page is made, not written."""

ALL = "*"
"""In the place of its methods, where a service has but one answer to all of them."""


class Row(NamedTuple):
    """One line of a table, about methods of the service of that full name."""

    service: str
    methods: tuple[str, ...]
    support: str  # `yes`, `partial` or `no`; a method that isn't supported answers UNIMPLEMENTED.
    basis: str  # `documented` or `partly inferred`: where it comes from what these methods do; empty for `no`.
    suites: tuple[str, ...]  # The names of Google's own suites that check it.
    notes: str
    sources: tuple[str, ...]  # Where Google documents it.
    reviewed: str  # When it was last compared with that, a date.


def rows(page: str = "") -> list[Row]:
    """All lines, or those of one page."""
    found = []
    for service in _TOLD["service"]:
        if page not in {"", service["page"]}:
            continue
        for names, support, basis, suites, notes in service["methods"]:
            methods = tuple(names.split(", "))
            sources = tuple(f"{service['docs']}#{service['name']}.{name}".removesuffix(f".{ALL}") for name in methods)
            about = methods, support, basis, tuple(suites.split()), notes, sources, str(service["reviewed"])
            found.append(Row(service["name"], *about))
    return found


def table(page: str) -> str:
    """The table of one page, and the one of the suites if any line names one."""
    lines = ["| method | supported | basis | checked by | reviewed | notes |", "|---|---|---|---|---|---|"]
    found = rows(page)
    for row in found:
        names = (row.service.rpartition(".")[2] if name == ALL else name for name in row.methods)
        cells = ", ".join(f"`{name}`" for name in names), row.support, row.basis, ", ".join(row.suites), row.reviewed
        lines.append("| " + " | ".join((*cells, row.notes)) + " |")
    if used := {suite for row in found for suite in row.suites}:
        lines += ["", "| suite | Google's own | of | result | date |", "|---|---|---|---|---|"]
        suites = [(name, *suite.values()) for name, suite in _TOLD["suites"].items() if name in used]
        lines += [f"| {' | '.join(map(str, cells))} |" for cells in suites]
    return "\n".join(lines) + "\n"


def renewed(page: Path) -> str:
    """A page's text with its table as it should be."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    return before + begin + table(page.name) + end + after


def main() -> None:
    """Prints the JSON, or renews pages."""
    if not sys.argv[1:]:
        data = {"suites": _TOLD["suites"], "methods": [row._asdict() for row in rows()]}
        sys.stdout.write(json.dumps(data, indent=2, default=str) + "\n")
    for name in sys.argv[1:]:
        Path(name).write_text(renewed(Path(name)), encoding="utf-8")


if __name__ == "__main__":
    main()
