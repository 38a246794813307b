"""What all tests share: how hard the property tests look, chosen by HYPOTHESIS_PROFILE, and that Ctrl-C is heard."""

import os
import signal

from hypothesis import settings

# A developer's run is short and explores something new each time.
settings.register_profile("local", max_examples=60, stateful_step_count=50, deadline=None)
# A pull request is never red by luck: the same examples each time.
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, max_examples=80)
# For each of thousands of mutants, the same few.
settings.register_profile("mutation", settings.get_profile("ci"), max_examples=8)
# At night there is time for longer chains.
settings.register_profile("nightly", settings.get_profile("local"), max_examples=1000, stateful_step_count=100)

settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "local"))

# A shell has its background jobs ignore Ctrl-C, and the commands that the tests interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
