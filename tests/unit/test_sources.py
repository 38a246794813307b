"""House rules that no linter knows: how long things may be, and who may know whom; and that the core is pure."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
"""A function fits a screen; a file can be read at one go."""
BACKSTOP_LINES_MAX = 3_980
"""What is deployed, main.py aside, is read by whoever deploys it: a change may lower this and never raise it."""
TESTS_LINES_MAX = 20_608
"""Likewise; the emulators' and the command line's own tests aside, as they go with those."""

FOLDERS = ("backstop", "backstop_cli", "packages", "tests", "demo", "benchmarks", "tools")
SOURCES = {
    path.relative_to(ROOT): path.read_text()
    for path in (ROOT / "main.py", *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))))
}

RUFF = Path(sys.executable).parent / "ruff"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def too_long(source: str) -> list[str]:
    """The functions of a source that are too long, decorators not counted."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, Function)]
    return [
        f"{function.name}: {length} lines"
        for function in functions
        if function.end_lineno is not None
        and (length := function.end_lineno - function.lineno + 1) > FUNCTION_LINES_MAX
    ]


def imports(source: str) -> set[str]:
    """The modules that a source imports, in full, those for its types included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def packages(source: str) -> set[str]:
    """The packages that a source imports from."""
    return {name.partition(".")[0] for name in imports(source)}


def test_the_sources_are_found() -> None:
    """An empty list would pass every test below."""
    for folder in ("backstop", "packages", "tests"):
        assert sum(path.parts[0] == folder for path in SOURCES) > 20


def test_no_file_is_too_long() -> None:
    """A longer one is two."""
    lengths = {str(path): len(text.splitlines()) for path, text in SOURCES.items()}

    assert {path: length for path, length in lengths.items() if length > FILE_LINES_MAX} == {}


def test_no_function_is_too_long() -> None:
    """A longer one is two."""
    found = {str(path): too_long(text) for path, text in SOURCES.items()}

    assert {path: functions for path, functions in found.items() if functions} == {}


def test_a_function_that_is_too_long_is_found() -> None:
    """The measure counts from the first line to the last."""
    body = "\n".join(["    x = 1"] * FUNCTION_LINES_MAX)

    assert too_long(f"def f():\n{body}\n") == [f"f: {FUNCTION_LINES_MAX + 1} lines"]
    assert too_long(f"class C:\n    async def f(self):\n{body.replace('    x', '        x')}\n") != []
    assert too_long("def f():\n" + body.removesuffix("\n    x = 1") + "\n") == []


def lines_in(*folders: str, without: Sequence[str] = ()) -> int:
    """The lines of the sources in some folders, without those in others."""
    excluded = {Path(folder) for folder in without}
    kept = [text for path, text in SOURCES.items() if path.parts[0] in folders and excluded.isdisjoint(path.parents)]
    return sum(len(text.splitlines()) for text in kept)


def test_the_function_stays_small() -> None:
    """Prefer deleting to adding."""
    assert lines_in("backstop") <= BACKSTOP_LINES_MAX


def test_the_tests_stay_small() -> None:
    """Prefer a row of a table to a test, and no test to one that proves nothing new."""
    assert lines_in("tests", without=["tests/cli"]) <= TESTS_LINES_MAX


def circle(sources: dict[str, str]) -> list[str]:
    """The modules, by their full names, of one circle of imports among the sources; those for types count too."""
    known = {name: {found for found in imports(text) if found in sources} - {name} for name, text in sources.items()}
    try:
        TopologicalSorter(known).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_there_is_no_circle_of_imports() -> None:
    """Each module can be read after those that it imports, the ones for its types included."""
    backstop = {
        ".".join(path.with_suffix("").parts).removesuffix(".__init__"): text
        for path, text in SOURCES.items()
        if path.parts[0] == "backstop"
    }

    assert len(backstop) > 20
    assert circle(backstop) == []


def test_a_circle_of_imports_is_found() -> None:
    """Also where a type alone is imported."""
    for_types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.a import x\n"

    assert set(circle({"p.a": "from p import b", "p.b": for_types})) == {"p.a", "p.b"}
    assert circle({"p.a": "from p import b", "p.b": "import os"}) == []


def test_what_is_deployed_knows_neither_the_command_line_nor_the_emulators_nor_the_tests() -> None:
    """The archive holds the function alone."""
    deployed = [path for path in SOURCES if path.parts[0] in {"backstop", "main.py"}]

    assert [
        path
        for path in deployed
        if packages(SOURCES[path]) & {"backstop_cli", "demo", "spanner_backup_emulator", "tests"}
    ] == []


def test_the_core_does_not_know_its_shell() -> None:
    """Handlers speak to ports; only the entry point wires the adapters to them."""
    core = [path for path in SOURCES if path.parent == Path("backstop")]

    assert [path for path in core if any(name.startswith("backstop.gcp") for name in imports(SOURCES[path]))] == []


def test_the_emulators_share_no_code_with_what_they_judge() -> None:
    """A mistake in the function can't be a mistake of its judge as well."""
    judges = [path for path in SOURCES if path.parts[0] == "packages"]

    assert [path for path in judges if "backstop" in packages(SOURCES[path])] == []


def test_the_simulation_s_checker_shares_no_code_with_what_it_judges() -> None:
    """Nor do the modules that it is made of know how the function is called, or the ports that it is given."""
    folder = Path("tests", "simulation")
    todo, judges = {"tests.simulation.checker"}, set()
    while todo:
        judges |= todo
        names = {name for judge in todo for name in imports(SOURCES[folder / f"{judge.rpartition('.')[2]}.py"])}
        todo = {name for name in names if folder / f"{name.rpartition('.')[2]}.py" in SOURCES} - judges

    assert {f"tests.simulation.{name}" for name in ("endings", "truth", "rights", "bounds", "facts")} < judges
    known = {
        name.partition(".")[0]
        for judge in judges
        for name in imports(SOURCES[folder / f"{judge.rpartition('.')[2]}.py"])
    }
    assert "backstop" not in known
    assert judges.isdisjoint({"tests.simulation.world", "tests.simulation.calls", "tests.simulation.people"})


def test_test_files_have_names_of_their_own() -> None:
    """Without packages pytest tells test modules apart by their names alone."""
    names = [path.name for path in SOURCES if path.name.startswith("test_")]

    assert {name for name in names if names.count(name) > 1} == set()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the function with the project's own configuration."""
    copied = tmp_path_factory.mktemp("copy")
    shutil.copy(ROOT / "pyproject.toml", copied)
    shutil.copy(ROOT / "main.py", copied)
    shutil.copytree(ROOT / "backstop", copied / "backstop", ignore=shutil.ignore_patterns("__pycache__"))
    return copied


def banned(copied: Path) -> tuple[int, str]:
    """What ruff says of banned imports: its exit code and its text."""
    command = [str(RUFF), "check", "--no-cache", "--select", "TID251", "--output-format", "concise", "."]
    done = subprocess.run(command, cwd=copied, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout


def plant(copied: Path, name: str, line: str) -> tuple[int, str]:
    """The same, with one more file that has one line."""
    planted = copied / name
    planted.write_text(f"{line}\n")
    try:
        return banned(copied)
    finally:
        planted.unlink()


def test_the_core_as_it_is_breaks_no_rule(copy: Path) -> None:
    """Otherwise the tests below would prove nothing."""
    assert banned(copy) == (0, "All checks passed!\n")


@pytest.mark.parametrize(
    "line",
    [
        *(f"import {name}" for name in ("time", "random", "uuid", "os", "sys", "logging", "threading", "socket")),
        *(f"import {name}" for name in ("urllib.request", "http.client", "requests", "grpc", "flask")),
        "import functions_framework",
        "from time import monotonic as clock",
        "from google.cloud import tasks_v2",
        "import datetime as d; now = d.datetime.now()",
        "from datetime import datetime as d; now = d.now()",
        "from datetime import datetime; now = datetime.utcnow()",
        "from datetime import date; today = date.today()",
    ],
)
def test_an_impure_line_in_the_core_is_refused(copy: Path, line: str) -> None:
    """Under another name too."""
    code, text = plant(copy, "backstop/planted.py", line)

    assert code == 1
    assert "backstop/planted.py:1:" in text
    assert "TID251" in text


@pytest.mark.parametrize("name", ["backstop/gcp/planted.py", "main.py"])
def test_the_shell_may_be_impure(copy: Path, name: str) -> None:
    """The clock, the environment and the network have to live somewhere."""
    kept = (copy / name).read_text() if (copy / name).exists() else None
    code, _ = plant(copy, name, "import time")
    if kept is not None:
        (copy / name).write_text(kept)

    assert code == 0


def test_no_file_of_the_core_excuses_itself() -> None:
    """The rule holds with no exception."""
    for path in (ROOT / "backstop").glob("*.py"):
        assert "TID251" not in path.read_text(), path
