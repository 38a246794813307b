"""Mutates the core and compares what lives with `tests/mutation/survivors.toml`; `make mutate` runs it.

Three steps. mutmut changes each function of `backstop/` outside `gcp/` in every way that it knows, one change at a time,
and runs the unit tests that reach the function until one fails. What they let live, a short simulation judges. What
that lets live as well must be in the list, with a reason; what is listed must live.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MUTANTS = ROOT / "mutants"
LIST = ROOT / "tests" / "mutation" / "survivors.toml"
MUTMUT = Path(sys.executable).parent / "mutmut"

CORES = 2
KILLED_MIN = 0.95
"""Of all mutants; those that are equivalent count as not killed."""

ALIVE, KILLED, TIMEOUT = {0, 5, 33}, {1, 3}, {24, -24, 36, 152, 255}
"""mutmut's codes; 5 and 33 stand for a mutant that no unit test reaches."""

HISTORIES = 200
SIMULATION_S_MAX = 300
"""A history that takes this long has met a loop without end."""

SIMULATION = f"""
from tests.simulation.generate import history
from tests.simulation.run import run
from tests.simulation.test_simulation_scenarios import BUGS
histories = [bug.history for bug in BUGS.values()] + [history(seed) for seed in range({HISTORIES})]
raise SystemExit(any(run(history).findings for history in histories))
"""


def main() -> int:
    """Runs all of it; returns 1 if the list and what lives differ, or if too few are killed."""
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "mutation"}
    subprocess.run([MUTMUT, "run", "--max-children", str(CORES)], cwd=ROOT, env=environment, check=True)
    codes = {
        mutant: code
        for meta in sorted((MUTANTS / "backstop").glob("*.meta"))
        for mutant, code in json.loads(meta.read_text())["exit_code_by_key"].items()
    }
    if simulated("") != "alive":
        raise SystemExit("the simulation goes wrong without any mutant")
    alive = [mutant for mutant, code in codes.items() if code in ALIVE]
    with ThreadPoolExecutor(CORES) as pool:
        judged = dict(zip(alive, pool.map(simulated, alive), strict=True))
    counts = Counter(judged.values())
    for mutant, code in codes.items():
        if mutant not in judged:
            counts["unit tests" if code in KILLED else "timeout" if code in TIMEOUT else f"mutmut's code {code}"] += 1
    print(f"{len(codes)} mutants: {dict(counts)}")
    killed = 1 - counts["alive"] / len(codes)
    print(f"{killed:.1%} killed")
    return compare({change(mutant) for mutant, end in judged.items() if end == "alive"}) or killed < KILLED_MIN


def simulated(mutant: str) -> str:
    """What the simulation makes of a mutant: `alive`, `simulation` or `timeout`."""
    environment = {**os.environ, "MUTANT_UNDER_TEST": mutant}
    command = [sys.executable, "-c", SIMULATION]
    try:
        done = subprocess.run(
            command, cwd=MUTANTS, env=environment, capture_output=True, check=False, timeout=SIMULATION_S_MAX
        )
    except subprocess.TimeoutExpired:
        return "timeout"
    return "simulation" if done.returncode else "alive"


def change(mutant: str) -> str:
    """A mutant as the list has it: its function, and the lines that differ. mutmut's numbers move with the code."""
    shown = subprocess.run([MUTMUT, "show", mutant], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = [line for line in shown.splitlines() if line[:1] in {"-", "+"} and line[:3] not in {"---", "+++"}]
    function = mutant.removeprefix("backstop.").partition("__mutmut_")[0]
    return "\n".join([function, *(f"{line[0]} {line[1:].strip()}" for line in lines)])


def compare(alive: set[str]) -> int:
    """Prints what lives and is not listed, and what is listed and doesn't live; returns 1 if there is any."""
    groups = tomllib.loads(LIST.read_text(encoding="utf-8"))["survivors"]
    listed = {mutant.strip() for group in groups for mutant in group["mutants"]}
    for what, mutants in (("lives and is not listed", alive - listed), ("is listed and does not live", listed - alive)):
        for mutant in sorted(mutants):
            print(f"\n{what}:\n{mutant}")
    return int(alive != listed)


if __name__ == "__main__":
    sys.exit(main())
