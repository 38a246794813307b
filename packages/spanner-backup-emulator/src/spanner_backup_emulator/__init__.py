"""Emulators of the three services that Backstop talks to, so that it can be tried and tested off line.

Never deployed. Each is split the same way: `state.py` is pure, in Google's own messages (`messages.py`) and with `now`
as an argument; a table says which methods there are (`rpc.py`), and gRPC and `rest.py` answer by it; `server.py` is a
context manager (`emulator.py`), and `__main__.py` makes it a command (`command.py`).
"""
