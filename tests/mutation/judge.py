"""Judges mutants: a pytest plugin that goes on, once all tests have passed, with every mutant in a process of its own.

The tests are collected once and run once, which shows which of them reach a function. Then each mutant gets a fork, in
which those tests run, the shortest first, until one fails; what they let live, a short simulation judges. A fork costs
next to nothing, so a mutant that dies costs little more than the test that kills it.
"""

from __future__ import annotations

import os
import resource
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping

import pytest
from mutmut.state import state

from tests.simulation.cases import CASES
from tests.simulation.generate import history
from tests.simulation.run import run

CPU_S_MAX = 120
"""Many times what all of it takes; a mutant that takes this long has met a loop without end."""

SWITCH = "MUTANT_UNDER_TEST"
"""The variable by which what mutmut has generated knows which mutant it is."""

ENDS = {0: "alive", 1: "unit tests", 2: "simulation"}


class Judge:
    """The plugin; it tells of each mutant whether it is `alive`, or by what it was killed."""

    def __init__(
        self, mutants: Mapping[str, Callable[[], None]], tell: Callable[[str, str], None], *, cores: int, histories: int
    ) -> None:
        """Takes the mutants by name, each with what makes it of a process."""
        self._mutants = mutants
        self._tell = tell
        self._cores = cores
        self._histories = (
            [*(case.history for case in CASES.values()), *map(history, range(histories))] if histories else []
        )
        self._reach: dict[str, list[pytest.Item]] = defaultdict(list)
        self._seconds: dict[str, float] = defaultdict(float)
        self._failed = False

    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """Notes which functions the test has reached."""
        reached = state()._stats  # noqa: SLF001 mutmut's own runner reads it from here too
        for function in reached:
            self._reach[function].append(item)
        reached.clear()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes whether a test has failed, and how long it took."""
        self._failed |= report.failed
        self._seconds[report.nodeid] += report.duration

    def pytest_configure(self, config: pytest.Config) -> None:
        """Keeps what silences the forks."""
        self._config = config

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Lets the tests run as they are, and then once for each mutant."""
        self._all = session.items
        os.environ[SWITCH] = "stats"
        done = yield
        os.environ[SWITCH] = ""
        if self._failed or self._simulation_fails():
            raise pytest.UsageError("the tests must pass without any mutant")
        running: dict[int, str] = {}
        for mutant, make in self._mutants.items():
            if len(running) == self._cores:
                self._wait(running)
            pid = os.fork()
            if not pid:
                os._exit(self._judge(mutant, make))
            running[pid] = mutant
        while running:
            self._wait(running)
        return done

    def _wait(self, running: dict[int, str]) -> None:
        pid, status = os.wait()
        if pid in running:
            self._tell(running.pop(pid), ENDS.get(os.waitstatus_to_exitcode(status), "timeout"))

    def _judge(self, mutant: str, make: Callable[[], None]) -> int:
        """In the fork: the exit code that says what became of the mutant."""
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S_MAX, CPU_S_MAX))
        self._config.pluginmanager.unregister(name="terminalreporter")
        make()
        try:
            for item in self._reaching(mutant):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
                if self._failed:
                    return 1
        except BaseException:  # noqa: BLE001 whatever a mutant does, it is not what it should
            return 1
        return 2 * self._simulation_fails()

    def _reaching(self, mutant: str) -> list[pytest.Item]:
        """The tests that reach the mutant's function, the shortest first; for a constant, all."""
        function, numbered, _ = mutant.partition("__mutmut_")
        reaching = self._reach[function] if numbered else self._all
        return sorted(reaching, key=lambda item: self._seconds[item.nodeid])

    def _simulation_fails(self) -> bool:
        try:
            return any(run(one).findings for one in self._histories)
        except BaseException:  # noqa: BLE001 the same
            return True
