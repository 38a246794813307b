"""The shell: the only part of the function that knows the clock, the environment, the network and the log."""
