"""Bytes on a connection that are damaged requests, or none: whatever they are, the service answers or ends it."""

from tests.fuzz import wire
from tests.support.fuzzing import Fuzzer
from tests.support.watched_service import STATUSES, WatchedService, statuses


def test_what_a_connection_carries_is_answered_as_documented_or_ended(service: WatchedService, fuzz: Fuzzer) -> None:
    def is_answered_or_ended(pieces: wire.Pieces) -> None:
        received = service.converse(*pieces)

        assert received == b"" or received.startswith(b"HTTP/1.1 ")
        assert set(statuses(received)) <= STATUSES, received
        service.check()

    fuzz.run(is_answered_or_ended, wire.conversations)
