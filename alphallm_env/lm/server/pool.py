"""A pool of servers of one model: the least loaded is asked, failing ones rest, retries are bounded.

Everything here runs on one event loop (`LoopThread`), so nothing is locked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TypeVar, cast

import httpx2
import openai
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from alphallm_env.errors import ServerError
from alphallm_env.lm.server.answers import Answer, AnswerError, read_answer
from alphallm_env.lm.server.kinds import KINDS, UNKNOWN, ServerKind

Result = TypeVar("Result")
_NO_KEY = "none"  # the openai client requires a key; most self-hosted servers do not
_BUSY = (408, 429, 502, 503, 504)  # statuses of failures that may pass, beside those from 500 on


@dataclass(frozen=True)
class ServerSettings:
    """Limits of requests in flight, retries and waits. Times are in seconds."""

    max_in_flight: int = 64  # per server; further requests wait
    attempts: int = 10  # per request, the first one included; the waits between them add up to 121.5 seconds
    first_wait: float = 0.5  # doubled at each further attempt; plus jitter of at most first_wait
    longest_wait: float = 30.0  # also the limit of what a server may request by Retry-After
    timeout: float = 120.0  # without a byte received
    rest: float = 30.0  # before a server that could not be reached is tried again
    api_key: str = ""  # OPENAI_API_KEY where empty

    def __post_init__(self) -> None:
        if self.max_in_flight < 1 or self.attempts < 1:
            raise ValueError(f"max_in_flight and attempts must be >= 1, got {self.max_in_flight} and {self.attempts}")
        if min(self.first_wait, self.longest_wait, self.rest) < 0 or self.timeout <= 0:
            raise ValueError(f"waits must be >= 0 and timeout > 0, got {self}")


@dataclass
class Server:
    """One server: its model and kind, its requests in flight, and how long it rests after a failure."""

    url: str
    client: openai.AsyncOpenAI
    model: str
    kind: ServerKind | None = None  # None until `/models` was asked
    max_model_len: int | None = None  # tokens of prompt and text together, where `/models` reports it (vLLM)
    introduction: asyncio.Lock = field(default_factory=asyncio.Lock)
    in_flight: int = 0
    rests_until: float | None = None  # by time.monotonic; None while it works

    def may_be_asked(self, now: float) -> bool:
        """Returns whether it works; after its rest, one request at a time tests it."""
        return self.rests_until is None or (now >= self.rests_until and self.in_flight == 0)


class RefusedError(ServerError):
    """The server refused the request, and would refuse it again."""


class _FaultError(Exception):
    """A failure that may pass: the request is retried."""

    def __init__(self, server: Server, what: str, retry_after: float | None = None) -> None:
        super().__init__(f"{server.url}: {what}")
        self.retry_after = retry_after


class ServerPool:
    """Sends requests to servers of one model. `about` in its methods describes the request in errors."""

    def __init__(
        self, urls: Sequence[str], model: str, settings: ServerSettings, extra_body: Mapping[str, object] | None = None
    ) -> None:
        if not urls:
            raise ValueError("expected at least one server's url, got none")
        self.name = ", ".join(urls)
        self.settings = settings
        self._extra_body = dict(extra_body or {})
        self.servers = [Server(url, _client(url, settings), model) for url in urls]
        self._changed = asyncio.Condition()
        self._backoff = wait_exponential_jitter(
            multiplier=settings.first_wait, max=settings.longest_wait, jitter=settings.first_wait
        )

    async def complete(self, body: Mapping[str, object], about: str) -> Answer:
        """Returns the answer to one completion request, sampled from the whole distribution, as `post` does."""
        return await self.post("/completions", {"top_p": 1.0, **body, **self._extra_body}, read_answer, about)

    async def kind(self, about: str) -> ServerKind:
        """Returns the kind of the least loaded server. Raises ServerError once the attempts are used up."""
        return await self._ask(_introduced, about)

    @property
    def max_model_len(self) -> int | None:
        """The most tokens of prompt and text together, by the servers that were asked; None where none reports it."""
        return min((server.max_model_len for server in self.servers if server.max_model_len), default=None)

    async def post(
        self,
        path: str,
        body: Mapping[str, object],
        read: Callable[[object], Result],
        about: str,
        *,
        beside_v1: bool = False,
    ) -> Result:
        """Returns the answer of the least loaded server to `body`, parsed by `read`.

        The server's model and the fields of its kind are added to `body`. With `beside_v1` the path is not below
        `/v1`. Raises ServerError once the attempts are used up, RefusedError at once.
        """

        async def call(server: Server) -> Result:
            kind = await _introduced(server)
            whole = {"model": server.model, **kind.whole_distribution, **body}
            if server.max_model_len and isinstance(most := body.get("max_tokens"), int):
                whole["max_tokens"] = min(most, server.max_model_len)  # vLLM refuses more than its model's length
            url = server.url.rstrip("/").removesuffix("/v1") + path if beside_v1 else path
            response = await server.client.post(url, cast_to=httpx2.Response, body=whole)
            return read(json.loads(response.content))

        return await self._ask(call, about)

    async def _ask(self, call: Callable[[Server], Awaitable[Result]], about: str) -> Result:
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self.settings.attempts),
            wait=self._wait,
            retry=retry_if_exception_type(_FaultError),
            reraise=True,
        )
        try:
            return cast(Result, await retrying(self._attempt, call, about))
        except _FaultError as fault:
            raise ServerError(f"{fault}, in the last of {self.settings.attempts} attempts at {about}") from fault

    async def _attempt(self, call: Callable[[Server], Awaitable[Result]], about: str) -> Result:
        async with self._least_loaded() as server:
            try:
                result = await call(server)
            except openai.APIStatusError as error:
                what = f"status {error.status_code}, {error.message:.200}"
                if error.status_code not in _BUSY and error.status_code < 500:
                    raise RefusedError(f"{server.url}: {what}, in answer to {about}") from error
                retry_after = seconds_to_wait(error.response.headers)
                raise self._fault(server, what, self.settings.first_wait, retry_after) from error
            except (openai.APIConnectionError, httpx2.TransportError) as error:
                what = f"{error} {error.__cause__ or ''}".strip()
                raise self._fault(server, what, self.settings.rest) from error
            except (AnswerError, json.JSONDecodeError, UnicodeDecodeError) as error:
                what = f"an answer that cannot be read: {error}"
                raise self._fault(server, what, self.settings.first_wait) from error
            server.rests_until = None
            return result

    def _fault(self, server: Server, what: str, rest: float, retry_after: float | None = None) -> _FaultError:
        """Returns the fault to raise. The server rests, or a server that fails fast would look the least loaded."""
        rest = max(rest, min(retry_after or 0.0, self.settings.longest_wait))
        server.rests_until = time.monotonic() + rest
        return _FaultError(server, what, retry_after)

    def _wait(self, state: RetryCallState) -> float:
        """Returns the seconds before the next attempt: none where another server works."""
        if any(server.rests_until is None for server in self.servers):
            return 0.0
        fault = state.outcome.exception() if state.outcome else None
        asked = fault.retry_after if isinstance(fault, _FaultError) else None
        return max(self._backoff(state), min(asked or 0.0, self.settings.longest_wait))

    @contextlib.asynccontextmanager
    async def _least_loaded(self) -> AsyncGenerator[Server]:
        async with self._changed:
            while (server := self._free_server()) is None:
                await self._changed.wait()
            server.in_flight += 1
        try:
            yield server
        finally:
            server.in_flight -= 1
            async with self._changed:
                self._changed.notify()

    def _free_server(self) -> Server | None:
        """Returns the least loaded server that works, else the one whose rest ends first; None while it is full."""
        now = time.monotonic()
        working = [server for server in self.servers if server.may_be_asked(now)]
        resting = sorted(self.servers, key=lambda server: server.rests_until or 0.0)[:1]
        best = min(working or resting, key=lambda server: server.in_flight)
        return best if best.in_flight < self.settings.max_in_flight else None

    async def close(self) -> None:
        """Closes the connections."""
        await asyncio.gather(*(server.client.close() for server in self.servers))


def _client(url: str, settings: ServerSettings) -> openai.AsyncOpenAI:
    api_key = settings.api_key or os.environ.get("OPENAI_API_KEY") or _NO_KEY
    timeout = httpx2.Timeout(settings.timeout, pool=None)
    return openai.AsyncOpenAI(base_url=url, api_key=api_key, max_retries=0, timeout=timeout)


async def _introduced(server: Server) -> ServerKind:
    async with server.introduction:
        return server.kind or await _introduce(server)


async def _introduce(server: Server) -> ServerKind:
    """Asks the server for its models; sets its model, if none was named, its length and its kind. Returns the kind."""
    try:
        response = await server.client.get("/models", cast_to=httpx2.Response)
    except openai.APIStatusError as error:
        if not server.model or error.status_code in _BUSY:
            raise
        server.kind = UNKNOWN  # `transformers serve` fails to list models if none is cached
        return server.kind
    listed = cast("object", json.loads(response.content))
    models = cast("dict[str, object]", listed).get("data") if isinstance(listed, dict) else None
    if not isinstance(models, list):
        raise AnswerError(f"expected a list of models, got {listed!r:.80}")
    entries = [cast("dict[str, object]", entry) for entry in cast("list[object]", models) if isinstance(entry, dict)]
    if not server.model:
        if not entries:
            raise ServerError(f"{server.url} lists no model: say which one is meant with model=…")
        server.model = str(entries[0].get("id", ""))
    lengths = [entry.get("max_model_len") for entry in entries if entry.get("id") == server.model]
    server.max_model_len = next((length for length in lengths if isinstance(length, int) and length > 0), None)
    owners = [str(entry.get("owned_by", "")) for entry in entries]
    server.kind = next((KINDS[owner] for owner in owners if owner in KINDS), UNKNOWN)
    return server.kind


def seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds that Retry-After asks for, as a number or as a date; None without a valid one.

    >>> seconds_to_wait({"retry-after": "1.5"}), seconds_to_wait({})
    (1.5, None)
    """
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
