"""What each import costs: the stages of a cold start one after the other, in a new process each time.

`python -m benchmarks.imports` prints the table.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass

from demo.stack import ROOT

RUNS = 9

STAGES = {
    "functions-framework with Flask and gunicorn": "functions_framework, functions_framework._http.gunicorn",
    "Backstop's own code with msgspec": "backstop.dispatch, backstop.gcp.settings, backstop.gcp.spanner,"
    " backstop.gcp.tasks, backstop.gcp.pubsub",
    "Spanner's generated admin client, with gRPC and google-auth": "google.cloud.spanner_admin_database_v1",
    "Cloud Tasks' client": "google.cloud.tasks_v2",
    "Pub/Sub's generated client": "google.pubsub_v1",
}
"""In the order in which a follow-up and then an outcome need them."""

WHOLE = "instead of the last three: google.cloud.spanner and google.cloud.pubsub_v1"
ALTERNATIVES = {WHOLE: (2, "google.cloud.spanner, google.cloud.pubsub_v1")}
"""After so many of the stages, what others import."""

_TIMER = """
import json, sys, time
times = []
for stage in json.loads(sys.argv[1]):
    began, modules = time.perf_counter(), len(sys.modules)
    exec("import " + stage)
    times.append((time.perf_counter() - began, len(sys.modules) - modules))
print(json.dumps(times))
"""
"""Run in the new process."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One stage.

    Attributes:
        title: What is imported.
        seconds: How long it takes, in the middle.
        modules: How many modules come with it.
    """

    title: str
    seconds: float
    modules: int


def measure(runs: int = RUNS) -> list[Cost]:
    """Imports everything anew, so many times, in turns."""
    stages = list(STAGES.values())
    found: dict[str, list[tuple[float, int]]] = {title: [] for title in (*STAGES, *ALTERNATIVES)}
    for _ in range(runs):
        for title, cost in zip(STAGES, _import(stages), strict=True):
            found[title].append(cost)
        for title, (after, stage) in ALTERNATIVES.items():
            found[title].append(_import([*stages[:after], stage])[-1])
    return [
        Cost(title, statistics.median(seconds for seconds, _ in costs), costs[0][1]) for title, costs in found.items()
    ]


def _import(stages: list[str]) -> list[tuple[float, int]]:
    """Seconds and modules of each stage, in a new process."""
    command = [sys.executable, "-c", _TIMER, json.dumps(stages)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return [(seconds, modules) for seconds, modules in json.loads(done.stdout)]


def rows(costs: list[Cost]) -> list[tuple[str, ...]]:
    """The table's rows."""
    return [(cost.title, f"{cost.seconds * 1000:.0f} ms", str(cost.modules)) for cost in costs]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imports", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    for row in rows(measure(parser.parse_args().runs)):
        print(f"{row[0]:78}{row[1]:>8}{row[2]:>6}")


if __name__ == "__main__":
    main()
