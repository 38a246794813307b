"""Emulators of the three services that Backstop talks to, so that it can be tried and tested off line.

Never deployed. Each is split the same way: `state.py` is pure (`apply(now, request)`, `advance(now)`), `service.py`
is thin glue to the wire, `server.py` is a context manager, and `__main__.py` makes it a command.
"""
