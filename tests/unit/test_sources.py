"""House rules that no linter knows: how long a file and a function may be, and who may know whom."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
"""A function fits a screen; a file can be read at one go."""

FOLDERS = ("backstop", "backstop_cli", "emulators", "tests", "benchmarks", "tools")
SOURCES = {
    path.relative_to(ROOT): path.read_text()
    for path in (ROOT / "main.py", *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))))
}

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
    for folder in ("backstop", "emulators", "tests"):
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


def test_what_is_deployed_knows_neither_the_command_line_nor_the_emulators_nor_the_tests() -> None:
    """The archive holds the function alone."""
    deployed = [path for path in SOURCES if path.parts[0] in {"backstop", "main.py"}]

    assert [
        path for path in deployed if packages(SOURCES[path]) & {"backstop_cli", "emulators", "tests", "benchmarks"}
    ] == []


def test_the_core_does_not_know_its_shell() -> None:
    """Handlers speak to ports; only the entry point wires the adapters to them."""
    core = [path for path in SOURCES if path.parent == Path("backstop")]

    assert [path for path in core if any(name.startswith("backstop.gcp") for name in imports(SOURCES[path]))] == []


def test_the_emulators_share_no_code_with_what_they_judge() -> None:
    """A mistake in the function can't be a mistake of its judge as well."""
    judges = [path for path in SOURCES if path.parts[0] == "emulators" and "demo" not in path.parts]

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
    names = [path.name for path in SOURCES if path.parts[0] == "tests" and path.name.startswith("test_")]

    assert {name for name in names if names.count(name) > 1} == set()
