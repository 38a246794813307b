"""Mutates the core, one change at a time, and compares what lives with a list; `make mutate` runs it.

mutmut makes the mutants: of each function of `backstop/` outside `gcp/`, all that it knows. The unit tests judge them,
and then the simulation: `tests/mutation/judge.py`. What lives must be in `tests/mutation/survivors.toml` with the
reason why nothing could notice it, and what is listed there must live.
"""

from __future__ import annotations

import argparse
import difflib
import os
import shutil
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from mutmut.mutation.file_mutation import mutate_file_contents

ROOT = Path(__file__).resolve().parent.parent
COPY = ROOT / "mutants"
SURVIVORS = ROOT / "tests" / "mutation" / "survivors.toml"
COPIED = ("backstop", "packages", "tests", "main.py", "pyproject.toml")

# These look at the sources, or at the shell, or start processes that know nothing of mutants.
NOT_ASKED = ("sources", "gcp_calls", "gcp_settings", "gcp_logs", "gcp_credentials")
# The emulators' plugin is imported before pytest begins, as the tests are.
PYTEST = ["-q", "--tb=no", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning", "tests/unit"]

KILLED_MIN = 0.95


def main() -> int:
    """Returns 1 if too few mutants are killed, or if what lives and what is listed differ."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutate", description=__doc__)
    parser.add_argument("only", nargs="*", help="parts of mutants' names, such as `lifecycle.` or `find.x_ran`")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--histories", type=int, default=120, help="random histories; 0: no simulation")
    options = parser.parse_args()
    began_s = time.monotonic()
    changes, ends = judged(options)
    counts = Counter(ends.values())
    killed = 1 - counts["alive"] / len(ends)
    print(f"{len(ends)} mutants in {time.monotonic() - began_s:.0f} s: {dict(counts)}; {killed:.1%} killed")
    alive = Counter(changes[mutant] for mutant, end in ends.items() if end == "alive")
    return differs(alive, everything=not options.only) or killed < KILLED_MIN


def generate() -> dict[str, str]:
    """Writes a copy of the project in which every function is its own mutants, and one variable chooses among them.

    Returns:
        For each mutant its change, in lines: the function, what is taken out, and what is put in. mutmut numbers the
        mutants, and the numbers move with the code; this doesn't.
    """
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir()
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, COPY / name)
    changes = {}
    for path in sorted((COPY / "backstop").glob("*.py")):
        mutated = mutate_file_contents(str(path), path.read_text(encoding="utf-8"))
        path.write_text(mutated.code, encoding="utf-8")
        lines, spans = mutated.code.splitlines(), mutated.line_span_by_function_name
        for name in mutated.mutant_names:
            function = name.partition("__mutmut_")[0]
            was, now = (
                [line.replace(copied, function).strip() for line in lines[spans[copied].start - 1 : spans[copied].end]]
                for copied in (f"{function}__mutmut_orig", name)
            )
            differing = [line for line in difflib.ndiff(was, now) if line[:1] in "-+"]
            changes[f"backstop.{path.stem}.{name}"] = "\n".join([f"{path.stem}.{function}", *differing])
    return changes


def judged(options: argparse.Namespace) -> tuple[dict[str, str], dict[str, str]]:
    """Makes the mutants and judges them, in the copy; those that live are shown at once.

    Returns:
        For each mutant its change, and what became of it.
    """
    changes = generate()
    os.chdir(COPY)
    sys.path.insert(0, str(COPY))
    os.environ["HYPOTHESIS_PROFILE"] = "mutation"
    # These must be the copy's, as must all that they import.
    from tests.mutation import constants, judge  # noqa: PLC0415

    make: dict[str, Callable[[], None]] = {
        mutant: partial(os.environ.__setitem__, judge.SWITCH, mutant) for mutant in changes
    }
    make |= constants.mutants(COPY / "backstop")
    changes |= {change: change for change in make if change not in changes}
    make = {mutant: how for mutant, how in make.items() if not options.only or any(map(mutant.count, options.only))}
    ends: dict[str, str] = {}
    screen = os.fdopen(os.dup(1), "w", buffering=1)

    def tell(mutant: str, end: str) -> None:
        ends[mutant] = end
        if end == "alive":
            print(f"\n{mutant.partition(chr(10))[0]} lives:\n{changes[mutant]}", file=screen)
        if not len(ends) % 100:
            print(f"\n{len(ends)} of {len(make)}: {dict(Counter(ends.values()))}", file=screen)

    plugin = judge.Judge(make, tell, cores=options.cores, histories=options.histories)
    ignored = [f"--ignore=tests/unit/test_{name}.py" for name in NOT_ASKED]
    if pytest.main([*PYTEST, *ignored], plugins=[plugin]):
        raise SystemExit("the tests must pass without any mutant")
    return changes, ends


def differs(alive: Counter[str], *, everything: bool) -> int:
    """Prints what lives and is not listed, and what is listed and doesn't live; returns 1 if there is any."""
    groups = tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))["survivors"]
    listed = Counter(mutant.strip() for group in groups for mutant in group["mutants"])
    print(*(f"\nlives and is not listed:\n{mutant}" for mutant in alive - listed), sep="\n")
    if everything:
        print(*(f"\nis listed and does not live:\n{mutant}" for mutant in listed - alive), sep="\n")
    return int(bool(alive - listed or (everything and listed - alive)))


if __name__ == "__main__":
    sys.exit(main())
