"""A small HTTP server on loopback that speaks `/v1/completions` in the dialects of real ones, and fails on demand.

Its model continues "Answer:" with a text that depends on the question; a token is a word with its white space.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import cast

Record = dict[str, object]
_TOKEN = re.compile(r"\s*\S+\s*|\s+")
TOKEN_LOG_PROB = -0.5
LABELS = {"True": -0.25, "False": -2.0, "Maybe": -3.5}
END = "</s>"
VERBS = ("Take", "Use", "Note")  # the first word of a text
STATUS = {"200": "OK", "400": "Bad Request", "404": "Not Found", "429": "Too Many Requests", "500": "Server Error"}


@dataclass
class FaultServer:
    """A server of one scripted model. Completion requests consume `faults` one by one, and then all get `fault`.

    Faults: a status, "garbage", "shape" (JSON of another kind), "half" (of a body), "hang", "close".
    After `dies_after` requests the server closes its port and connections; 0 means never.
    """

    dialect: str = "vllm"  # or llama-cpp-python, llama.cpp, transformers, and OpenAI's own: plain
    echo: str = "right"  # or "shifted" by a token, "none"
    temperature_scales: bool = False
    highest_temperature: float = 2.0  # above it a request is refused, as vLLM and OpenAI do
    scores_token_ids: bool = True  # with the dialect vllm; its older versions do not
    max_model_len: int | None = None  # as vLLM reports it
    halved: str = ""  # a text that makes its token two, as the bytes of one character may be; the first shows nothing
    faults: deque[str] = field(default_factory=deque)
    fault: str = ""
    retry_after: str = ""
    cached_tokens: int | None = None  # of each prompt, as the server reports
    seconds: float = 0.0  # per response
    num_verbs: int = 1  # a request's seed picks one of them
    dies_after: int = 0
    num_faults: int = 0  # requests that met one
    bodies: list[Record] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    port: int = 0

    def __enter__(self) -> FaultServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.die()

    @property
    def url(self) -> str:
        """The address that clients are given."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Starts to listen; after `die`, on the same port."""
        started = threading.Event()
        self._stop = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), daemon=True)
        self._thread.start()
        assert started.wait(30)

    def die(self) -> None:
        """Closes the port and every connection. May be called twice."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(30)

    async def _serve(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._connection, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._stop.wait()
        server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = re.search(r"(?i)content-length: *(\d+)", head)
                body = await reader.readexactly(int(length.group(1)) if length else 0)
                await self._answer(writer, head.split()[1], json.loads(body or b"{}"))
        self._writers.discard(writer)
        writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, path: str, body: Record) -> None:
        if path == "/v1/models":
            owner = {"vllm": "vllm", "llama-cpp-python": "me", "llama.cpp": "llamacpp"}.get(self.dialect, "someone")
            model = {"id": "words", "owned_by": owner, "max_model_len": self.max_model_len}
            return await self._send(writer, "200", {"object": "list", "data": [model]})
        if path == "/tokenize" and self.dialect == "vllm":
            return await self._send(writer, "200", {"tokens": [token_id(part) for part in tokens(str(body["prompt"]))]})
        if path == "/extras/tokenize" and self.dialect == "llama-cpp-python":
            return await self._send(writer, "200", {"tokens": [1] * len(tokens(str(body["input"])))})
        if path != "/v1/completions":
            return await self._send(writer, "404", {"error": f"no {path}"})
        self.bodies.append(body)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if self.dies_after and len(self.bodies) >= self.dies_after:
            self.num_faults += 0 if self._stop.is_set() else self.in_flight
            self._stop.set()
        try:
            await asyncio.sleep(self.seconds)
            fault = self.faults.popleft() if self.faults else self.fault
            await self._complete_or_fail(writer, body, fault or self._refusal(body))
        finally:
            self.in_flight -= 1

    def _refusal(self, body: Record) -> str:
        """Returns the status of a request that asks for more than vLLM allows, "" for others."""
        most, length = int(str(body["max_tokens"])), self.max_model_len
        too_long = length is not None and (most > length or len(tokens(str(body["prompt"]))) >= length)
        return "400" if too_long or float(str(body["temperature"])) > self.highest_temperature else ""

    async def _complete_or_fail(self, writer: asyncio.StreamWriter, body: Record, fault: str) -> None:
        answer = {} if fault == "400" else self.completion(body)
        self.num_faults += bool(fault)
        if fault == "hang":
            await asyncio.sleep(3600)
        elif fault == "close":
            writer.transport.abort()
        elif fault == "garbage":
            await self._send(writer, "200", "<html>It works!</html>")
        elif fault == "shape":
            await self._send(writer, "200", {"choices": [{"text": "7"}]})
        elif fault == "half":
            whole = json.dumps(answer)
            await self._send(writer, "200", whole[: len(whole) // 2], length=len(whole))
            writer.transport.close()
        elif fault:
            await self._send(writer, fault, {"error": {"message": f"fault {fault}"}})
        else:
            await self._send(writer, "200", answer)

    async def _send(self, writer: asyncio.StreamWriter, status: str, body: object, length: int = 0) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        retry_after = f"retry-after: {self.retry_after}\r\n" if self.retry_after and status != "200" else ""
        head = (
            f"HTTP/1.1 {status} {STATUS[status]}\r\ncontent-type: application/json\r\n{retry_after}"
            f"content-length: {length or len(data)}\r\n\r\n"
        )
        writer.write(head.encode() + data)
        await writer.drain()

    def completion(self, body: Record) -> Record:
        """Returns the answer that a server of this dialect gives to a request."""
        prompt, most = str(body["prompt"]), int(str(body["max_tokens"]))
        if self.max_model_len is not None:
            most = min(most, self.max_model_len - len(tokens(prompt)))
        stops = [str(stop) for stop in body.get("stop", [])]  # type: ignore[union-attr]
        written: list[str] = []
        stop, ended = "", False
        for token in [*self._pieces(self._continuation(body)), END]:
            if len(written) == most:
                break
            ended = token == END
            if not ended or self.dialect == "vllm":  # llama-cpp-python leaves the end out
                written.append(token)
            stop = next((stop for stop in stops if stop in "".join(written)), "")
            if stop:
                break
        return self._record(body, prompt, written, stop, ended)

    def _pieces(self, text: str) -> list[str]:
        halved = [["", token] if self.halved and self.halved in token else [token] for token in tokens(text)]
        return [piece for pieces in halved for piece in pieces]

    def _continuation(self, body: Record) -> str:
        seed = int(str(body.get("seed") or 0))
        return continuation(str(body["prompt"]), VERBS[seed % self.num_verbs])

    def _record(self, body: Record, prompt: str, written: list[str], stop: str, ended: bool) -> Record:
        text = "".join(written).removesuffix(END)
        if stop and self.dialect != "transformers":
            text = text.partition(stop)[0]
        if written and not written[-1] and self.dialect != "vllm":
            text += "\ufffd"
        choice: Record = {"index": 0, "text": text, "finish_reason": "stop" if stop or ended else "length"}
        if self.dialect == "vllm":
            choice["stop_reason"] = stop or None
        echoed = tokens(prompt) if body.get("echo") and self.echo != "none" else []
        if echoed:
            choice["text"] = prompt + text
        if self.dialect == "llama.cpp":  # as in a chat, and without the tokens of the stop string
            reported = written[:-1] if stop else written
            choice["logprobs"] = {"content": [{"token": token, "logprob": TOKEN_LOG_PROB} for token in reported]}
        elif self.dialect != "transformers":
            choice["logprobs"] = self._log_probs(body, echoed, written)
        usage: Record = {"prompt_tokens": len(tokens(prompt)), "completion_tokens": len(written)}
        if self.cached_tokens is not None:
            usage["prompt_tokens_details"] = {"cached_tokens": self.cached_tokens}
        return {"object": "text_completion", "model": "words", "choices": [choice], "usage": usage}

    def _log_probs(self, body: Record, echoed: list[str], written: list[str]) -> Record:
        heat = float(str(body["temperature"])) if self.temperature_scales and body["temperature"] else 1.0
        both = [*echoed, *written]
        values: list[float | None] = [LABELS.get(token.strip(), TOKEN_LOG_PROB) / heat for token in both]
        if echoed:
            values = [None, *values[:-1]] if self.echo == "shifted" else [None, *values[1:]]
        top = sorted(LABELS.items(), key=lambda item: -item[1])[: int(str(body["logprobs"]))]
        if self.dialect == "vllm" and self.scores_token_ids and (asked := body.get("logprob_token_ids")):
            wanted = [(text, value) for text, value in LABELS.items() if token_id(text) in cast("list[int]", asked)]
            top = [(f"token_id:{token_id(text)}", value) for text, value in wanted]
        tops = [{text: value / heat for text, value in top} for _ in both]
        return {"tokens": both, "token_logprobs": values, "top_logprobs": tops}


def tokens(text: str) -> list[str]:
    """Returns the words of a text, each with the white space around it; a label is a token of its own."""
    return [part for word in _TOKEN.findall(text) for part in re.split(r"(?<=Answer:)", word) if part]


def token_id(text: str) -> int:
    """Returns the id of a token."""
    return zlib.crc32(text.encode())


def continuation(prompt: str, verb: str = VERBS[0]) -> str:
    """Returns what the model writes after a prompt: a text on the question, or a label."""
    question, _, written = prompt.partition("Answer:")
    if "Judge" in question:
        return "" if written else "True"
    number = question.split()[-2] if len(question.split()) > 1 else "0"
    verb = next((verb for verb in VERBS if written.startswith(verb)), verb)
    whole = f"{verb} {number} .\n\nTwice it .\n#### {number}\n"
    return whole[len(written) :]
