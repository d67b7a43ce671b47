"""Frames: JSON objects of limited length over pipes. Four bytes of length, big-endian, then UTF-8."""

from __future__ import annotations

import json
import math
import os
import select
import struct
import time
from collections.abc import Mapping
from typing import cast

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]
_LENGTH = struct.Struct(">I")


class FrameError(OSError):
    """A frame is missing, late, or malformed."""


def encode(message: Mapping[str, Json]) -> bytes:
    """Returns the frame of a message."""
    body = json.dumps(message).encode()
    return _LENGTH.pack(len(body)) + body


def write(descriptor: int, frame: bytes, deadline: float = math.inf) -> None:
    """Writes a frame. `deadline` is on `time.monotonic()`, and applies where the descriptor does not block.

    Raises FrameError once it has passed, OSError where the other end is closed.
    """
    view = memoryview(frame)
    while view:
        _wait(descriptor, select.POLLOUT, deadline)
        view = view[os.write(descriptor, view) :]


def read(descriptor: int, max_bytes: int, deadline: float = math.inf) -> dict[str, Json]:
    """Returns the next message without reading past it. Raises FrameError where there is none in time."""
    [length] = _LENGTH.unpack(_read_exactly(descriptor, _LENGTH.size, deadline))
    if length > max_bytes:
        raise FrameError(f"expected a frame of at most {max_bytes} bytes, got {length}")
    body = _read_exactly(descriptor, length, deadline)
    try:
        message = json.loads(body)
    except ValueError as error:
        raise FrameError(f"expected JSON, got {body[:40]!r}") from error
    if not isinstance(message, dict):
        raise FrameError(f"expected a JSON object, got {body[:40]!r}")
    return cast("dict[str, Json]", message)


def _read_exactly(descriptor: int, size: int, deadline: float) -> bytes:
    received = bytearray()
    while len(received) < size:
        _wait(descriptor, select.POLLIN, deadline)
        chunk = os.read(descriptor, size - len(received))
        if not chunk:
            raise FrameError(f"expected {size} bytes, got {len(received)} and the end")
        received += chunk
    return bytes(received)


def _wait(descriptor: int, event: int, deadline: float) -> None:
    """Waits until the descriptor is ready or broken."""
    poll = select.poll()
    poll.register(descriptor, event)
    left = None if deadline == math.inf else max(0, math.ceil(1000 * (deadline - time.monotonic())))
    if not poll.poll(left):
        raise FrameError("the other end took too long")
