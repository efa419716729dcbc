"""A connection that sends a whole answer at once."""

import asyncio
from typing import Any

MAX_HELD_BYTES = 4096
"""What is more goes at once, so that whoever writes learns that the client does not read on."""


class JoinedWrites:
    """A transport that sends together what is written before the event loop turns to something else.

    uvicorn writes an answer's head and its body apart: two packets, for each of which the system wakes the client.

    Args:
        transport: whose part this one takes; all but writing and ending is left to it.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send with all that is written until the loop goes on."""
        if not self._held:
            self._loop.call_soon(self._send)
        self._held += data
        if len(self._held) > MAX_HELD_BYTES:
            self._send()

    def close(self) -> None:
        """Send what was written, and end the connection."""
        self._send()
        self._transport.close()

    def abort(self) -> None:
        """End the connection, whatever is left to send."""
        self._held = b""
        self._transport.abort()

    def _send(self) -> None:
        if self._held and not self._transport.is_closing():
            self._transport.write(self._held)
        self._held = b""
