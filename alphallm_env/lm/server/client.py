"""Any OpenAI-compatible server as a `LanguageModel`: vLLM, SGLang, llama.cpp, `transformers serve`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

from alphallm_env.errors import ServerError
from alphallm_env.lm.base import Completion, GenerationRequest, LabelProbs
from alphallm_env.lm.prompts import bos_token
from alphallm_env.lm.server.answers import AnswerError
from alphallm_env.lm.server.completing import Draft, shown, write
from alphallm_env.lm.server.labels import LabelReader
from alphallm_env.lm.server.pool import RefusedError, ServerPool, ServerSettings
from alphallm_env.runtime.computing import ModelSize
from alphallm_env.runtime.concurrency import LoopThread, gather
from alphallm_env.runtime.forking import ForkAware
from alphallm_env.types import StopReason

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Result = TypeVar("Result")
_DEFAULTS = ServerSettings()
_HOT = 2.0  # the highest temperature that vLLM and OpenAI take
_TOP = 5  # of the likeliest tokens: the most that OpenAI gives
_CLEAR = 0.2  # nats between the likeliest tokens and the others, so that their scaling can be seen


@dataclass(frozen=True)
class ServerOptions(ServerSettings):
    """What a user may set of a server by name."""

    top_log_probs: int = 20  # of the likeliest next tokens, among which labels are looked for
    weights: int = 0  # of the model that a token touches, for its FLOPs; 0: not known


class ServerLM(ForkAware):
    """A model behind one or more servers, all of which serve it. Prompts are sent as text to `/v1/completions`.

    The methods that end in `_async` may be awaited on any event loop; all others block. `extra_body` holds
    fields for every request, such as those that a server of an unknown kind needs to sample from the whole
    distribution. Where `model` is empty, the first model that a server lists is used.

    A server's answer may depend on the rest of its batch, so `is_reproducible` is False. With a server that leaves the
    end-of-text token out of its answers (llama-cpp-python), `num_tokens` and `log_prob` are without it.
    A server that does not report cached tokens is assumed to read each prompt once per call.
    """

    is_reproducible = False

    def __init__(
        self,
        urls: Sequence[str],
        *,
        model: str = "",
        tokenizer: PreTrainedTokenizerBase | None = None,
        settings: ServerSettings = _DEFAULTS,
        extra_body: Mapping[str, object] | None = None,
        top_log_probs: int = 20,
        weights: int = 0,
    ) -> None:
        if weights < 0:
            raise ValueError(f"weights must be >= 0, got {weights}")
        self.size = ModelSize(weights) if weights else None  # no server tells it
        self.name = ", ".join(urls) + (f" {model}" if model else "")
        self.tokenizer = tokenizer
        # Whether log-probabilities are scaled by the temperature; None until a request had one other than 0 or 1, and
        # where the server does not let it be seen.
        self.log_probs_follow_temperature: bool | None = None
        self._bos_token = bos_token(tokenizer) if tokenizer else ""
        self._new_pool = partial(ServerPool, urls, model, settings, extra_body)
        self._top_log_probs = top_log_probs
        self._thread = LoopThread(f"client of {self.name}")
        self.after_fork_in_child()
        self.follow_forks()

    def after_fork_in_child(self) -> None:
        """Makes connections of its own: the inherited ones are the parent's."""
        self._pool = self._new_pool()
        self._labels = LabelReader(self._pool, self._top_log_probs, self._tokenize)
        self._probing, self._has_probed = asyncio.Lock(), False

    def close(self) -> None:
        """Closes the connections, and cancels what is in flight."""
        self._thread.run(self._pool.close())
        self._thread.close()

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Returns one completion per request, in order. Raises ServerError if the attempts at one are used up."""
        return self._thread.run(self._generate(requests))

    async def generate_async(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Returns what `generate` returns, without blocking."""
        return await self._thread.wait(self._generate(requests))

    def label_probs(self, prompts: Sequence[str], labels: Sequence[str]) -> list[LabelProbs]:
        """Returns, per prompt, the probability of each label's first token as the next token.

        Raises ServerError if the servers do not return them, ModelError if two labels begin with the same token.
        Without a tokenizer, and where the server cannot be asked for its own, a label is assumed to be one token.
        """
        return self._thread.run(self._label_probs(prompts, labels))

    async def label_probs_async(self, prompts: Sequence[str], labels: Sequence[str]) -> list[LabelProbs]:
        """Returns what `label_probs` returns, without blocking."""
        return await self._thread.wait(self._label_probs(prompts, labels))

    def count_tokens(self, text: str) -> int:
        """Returns how many tokens the tokenizer makes of `text`, without one how many the server makes of it."""
        if self.tokenizer is not None:
            return len(cast("list[int]", self.tokenizer(text, add_special_tokens=False)["input_ids"]))
        return len(self._thread.run(self._tokenize(text)))

    async def _generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        sent = [replace(request, prompt=self._sent(request.prompt)) for request in requests]
        await self._see_temperature(sent)
        written = await gather(write(self._pool, request) for request in sent)
        return _completions(sent, written)

    async def _label_probs(self, prompts: Sequence[str], labels: Sequence[str]) -> list[LabelProbs]:
        if not prompts:
            return []
        tokens = await self._labels.first_tokens(labels, self.tokenizer)
        return await gather(self._labels.read(self._sent(prompt), labels, tokens) for prompt in prompts)

    def _sent(self, prompt: str) -> str:
        """Returns the prompt without its bos token: servers add that themselves."""
        return prompt.removeprefix(self._bos_token)

    async def _see_temperature(self, requests: Sequence[GenerationRequest]) -> None:
        """Detects whether log-probabilities are scaled by the temperature, at the first that is not 0 or 1.

        A server that refuses to be probed leaves it unknown.
        """
        prompts = [request.prompt for request in requests if request.temperature not in (0.0, 1.0)]
        if self._has_probed or not prompts:
            return
        async with self._probing:
            if not self._has_probed:
                with contextlib.suppress(RefusedError):
                    self.log_probs_follow_temperature = await self._scales(prompts[0])
                self._has_probed = True

    async def _scales(self, prompt: str) -> bool | None:
        """Returns whether log-probabilities at temperature 2 are half as far apart as at 1, None if it cannot be seen.

        How far apart two tokens are does not depend on how sure the model is of a third.
        """
        bodies = [{"prompt": prompt, "max_tokens": 1, "logprobs": _TOP, "temperature": t} for t in (1.0, _HOT)]
        answers = await gather(self._pool.complete(body, shown(prompt)) for body in bodies)
        tops = [answer.tokens[0].top if answer.tokens else {} for answer in answers]
        common = [[top[token] for token in tops[0] if token in tops[1]] for top in tops]
        spreads = [max(values) - min(values) if values else 0.0 for values in common]
        if spreads[0] < _CLEAR:
            return None
        return spreads[1] < spreads[0] * (1.0 + 1.0 / _HOT) / 2.0

    async def _tokenize(self, text: str) -> list[int]:
        """Asks the endpoint of llama.cpp, vLLM and SGLang, whose field names differ, else that of llama-cpp-python."""
        body = {"prompt": text, "content": text, "add_special_tokens": False, "add_special": False}
        about = f"a count of the tokens of {shown(text)}"
        for path, asked in (("/tokenize", body), ("/extras/tokenize", {"input": text})):
            with contextlib.suppress(RefusedError):
                return await self._pool.post(path, asked, _token_ids, about, beside_v1=True)
        raise ServerError(f"{self._pool.name} has no way to count tokens: give the model's tokenizer")


def _completions(
    requests: Sequence[GenerationRequest], written: Sequence[tuple[Draft, StopReason]]
) -> list[Completion]:
    """Returns the completions; where the server does not report cached tokens, equal prompts count as read once."""
    seen: set[str] = set()
    completions: list[Completion] = []
    for request, (draft, reason) in zip(requests, written, strict=True):
        done = draft.completion(request, reason)
        if draft.computed_tokens is None and request.prompt in seen:
            done = replace(done, prompt_tokens=0, saved_tokens=done.prompt_tokens)
        completions.append(done)
        seen.add(request.prompt)
    return completions


def _token_ids(body: object) -> list[int]:
    tokens = cast("dict[str, object]", body).get("tokens") if isinstance(body, dict) else None
    if not isinstance(tokens, list) or not all(isinstance(token, int) for token in cast("list[object]", tokens)):
        raise AnswerError(f"expected a list of tokens, got {body!r:.80}")
    return cast("list[int]", tokens)
