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

from emulators.stack import ROOT

RUNS = 9

STAGES = {
    "functions-framework with Flask and gunicorn": "functions_framework, functions_framework._http.gunicorn",
    "Backstop's own code with msgspec": "backstop.deliver, backstop.gcp.settings, backstop.gcp.spanner,"
    " backstop.gcp.tasks, backstop.gcp.pubsub",
    "gRPC": "grpc",
    "Google's API core with requests and protobuf": "google.api_core.gapic_v1, google.api_core.operations_v1",
    "Spanner's generated client": "google.cloud.spanner_admin_database_v1.services.database_admin",
    "Cloud Tasks' generated client": "google.cloud.tasks_v2.services.cloud_tasks",
    "Pub/Sub's generated client": "google.pubsub_v1.services.publisher",
}
"""In the order in which a start needs them."""

WHOLE = "instead: google.cloud.spanner and google.cloud.pubsub_v1 after the first two"
FIRST_TWO = 2

_TIMER = """
import contextlib, json, sys, time
times, stages, spare = [], json.loads(sys.argv[1]), sys.argv[2] == "spare"
for number, stage in enumerate(stages):
    if spare and number == 1:
        from backstop.gcp.imports import quick_imports
    began, modules = time.perf_counter(), len(sys.modules)
    with quick_imports() if spare and number >= 2 else contextlib.nullcontext():
        exec("import " + stage)
    times.append((time.perf_counter() - began, len(sys.modules) - modules))
print(json.dumps(times))
"""
"""Run in the new process. Only from the clients on is anything spared, as in the function."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One stage.

    Attributes:
        title: What is imported.
        spared_s: How long it takes the way the function imports it, in the middle.
        plain_s: How long it takes with a plain import.
        modules: How many modules come with it, the way the function imports it.
    """

    title: str
    spared_s: float
    plain_s: float
    modules: int


def measure(runs: int = RUNS) -> list[Cost]:
    """Imports everything anew, so many times, with and without what the function spares, in turns."""
    whole = [*list(STAGES.values())[:FIRST_TWO], "google.cloud.spanner, google.cloud.pubsub_v1"]
    spared, plain, all_of_it = [], [], []
    for _ in range(runs):
        spared.append(_stages(list(STAGES.values()), spare=True))
        plain.append(_stages(list(STAGES.values()), spare=False))
        all_of_it.append(_stages(whole, spare=False)[-1])
    costs = [
        Cost(title, _median(spared, number), _median(plain, number), int(spared[0][number][1]))
        for number, title in enumerate(STAGES)
    ]
    seconds = statistics.median(one[0] for one in all_of_it)
    return [*costs, Cost(WHOLE, seconds, seconds, int(all_of_it[0][1]))]


def _median(runs: list[list[tuple[float, float]]], number: int) -> float:
    return statistics.median(run[number][0] for run in runs)


def _stages(stages: list[str], *, spare: bool) -> list[tuple[float, float]]:
    """Seconds and modules of each stage, in a new process."""
    command = [sys.executable, "-c", _TIMER, json.dumps(stages), "spare" if spare else "plain"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return [(seconds, modules) for seconds, modules in json.loads(done.stdout)]


def rows(costs: list[Cost]) -> list[tuple[str, ...]]:
    """The table's rows."""
    return [
        (cost.title, f"{cost.spared_s * 1000:.0f} ms", f"{cost.plain_s * 1000:.0f} ms", str(cost.modules))
        for cost in costs
    ]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imports", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    for row in rows(measure(parser.parse_args().runs)):
        print(f"{row[0]:78}{row[1]:>8}{row[2]:>8}{row[3]:>6}")


if __name__ == "__main__":
    main()
