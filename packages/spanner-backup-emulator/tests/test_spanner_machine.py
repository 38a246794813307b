"""The machine of `spanner_machine.py` against two subjects: the state, and the server by way of gRPC."""

from __future__ import annotations

import grpc
from hypothesis import settings
from spanner_machine import SpannerMachine, Subject
from spanner_world import ORDERS, USERS

from spanner_backup_emulator.messages import Message
from spanner_backup_emulator.rpc import called
from spanner_backup_emulator.spanner.messages import BY_REQUEST
from spanner_backup_emulator.spanner.server import SpannerEmulator
from spanner_backup_emulator.spanner.state import State

WIRE_EXAMPLE_SHARE = 4
"""A step over gRPC takes some twenty times as long, and adds the wire only, so it gets fewer examples."""


class PureMachine(SpannerMachine):
    """Reaches the state's corners, because it is fast."""

    def make_subject(self) -> Subject:
        """The pure state."""
        state = State(databases=[ORDERS, USERS])
        emulator = SpannerEmulator(clock=self.clock, state=state)
        return Subject(emulator, lambda request: state.apply(self.clock.now, request))


class WireMachine(SpannerMachine):
    """Reaches the server's lock, and what gRPC makes of answers and refusals."""

    def make_subject(self) -> Subject:
        """The server."""
        emulator = SpannerEmulator(clock=self.clock, state=State(databases=[ORDERS, USERS])).start()
        self.channel = grpc.insecure_channel(emulator.address)
        return Subject(emulator, self.call)

    def call(self, request: Message) -> Message:
        """Makes a call."""
        return called(self.channel, BY_REQUEST[type(request)], request)

    def teardown(self) -> None:
        """Ends the connection and the server."""
        self.channel.close()
        super().teardown()


TestPure = PureMachine.TestCase
TestWire = WireMachine.TestCase
TestWire.settings = settings(max_examples=settings().max_examples // WIRE_EXAMPLE_SHARE)
