"""A causal LM in process with continuous batching: a paged cache, shared prefixes, asynchronous results."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Generator, Sequence
from typing import Any, cast

from transformers import (
    ContinuousBatchingConfig,
    ContinuousBatchingManager,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.generation.continuous_batching.continuous_api import ContinuousMixin
from transformers.generation.continuous_batching.requests import GenerationOutput

from alphallm_env.errors import ModelError
from alphallm_env.lm.base import Completion, Embedding, GenerationRequest, LabelProbs, Passage, Reading
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.local.vocabulary import Vocabulary
from alphallm_env.lm.partial_completion import Writing
from alphallm_env.lm.seeded_sampling import Draws, SeededSampling
from alphallm_env.runtime.concurrency import LoopThread, gather
from alphallm_env.runtime.forking import ForkAware

_CPU_TOKENS_CACHED = 16_384  # by default the manager takes most of the machine's memory
_CPU_TOKENS_PER_BATCH = 512
_MEMORY_SHARE = 0.6  # of the memory that the model leaves free
_TABLE_PAGE_SIZE = 256  # flash attention reads blocks of a multiple of this through a table, without copying
_SHOWN = 60  # characters of a prompt in an error
_LEAST_TOKENS = 2  # a request of one token leaves the manager without its prompt's blocks


class ContinuousLM(TransformersLM, ForkAware):
    """A causal LM whose requests join and leave the running batch. Any thread or event loop may call it.

    Tokens are drawn as `TransformersLM` draws them, from the request's own seed, and log-probabilities are of the
    same distribution. β is checked after the tokens that contain its trigger: they end a request to the
    manager, and where β does not fire another request resumes from the cached blocks.
    `prompt_tokens` counts the tokens that were computed; with a rule without a trigger, this includes one token that
    may be computed beyond the end of a text.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        name: str,
        page_size: int = 16,
        max_batch: int = 256,
    ) -> None:
        super().__init__(model, tokenizer, name)
        self._require_paging()
        self.page_size = page_size  # tokens in a block: prefixes are shared by whole blocks
        self.max_batch = max_batch
        self._thread = LoopThread(f"continuous {name}")
        self._names = map(str, itertools.count())
        self.after_fork_in_child()
        self.follow_forks()

    def _require_paging(self) -> None:
        """Raises ModelError for attention that `transformers` does not compute, or computes wrongly, from blocks."""
        config: Any = self.model.config
        is_eager = getattr(config, "_attn_implementation", None) == "eager"
        if is_eager or hasattr(self.model.base_model, "build_alibi_tensor"):
            what = "attention that needs all keys at once (eager)" if is_eager else "positions as biases (ALiBi)"
            raise ModelError(
                f"expected a model that continuous batching can page, got {type(self.model).__name__} with {what}: "
                "use the backend transformers"
            )

    def after_fork_in_child(self) -> None:
        """Starts without a manager: its thread is the parent's."""
        self._lock = threading.Lock()  # held while the manager starts, stops, or is paused
        self._manager: ContinuousBatchingManager | None = None
        self._num_open = 0

    def close(self) -> None:
        """Stops the manager, frees its cache, and cancels what is in flight. The next request starts it again."""
        self._thread.close()
        with self._lock:
            if self._manager is not None:
                self._manager.stop(hard_stop=True)
                self._manager.destroy()
                self._manager = None

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Returns one completion per request, in order. Raises ModelError if the manager fails."""
        return self._thread.run(self._generate(requests))

    async def generate_async(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Returns what `generate` returns."""
        return await self._thread.wait(self._generate(requests))

    async def label_probs_async(self, prompts: Sequence[str], labels: Sequence[str]) -> list[LabelProbs]:
        """Returns what `label_probs` returns."""
        return await asyncio.to_thread(self.label_probs, prompts, labels)

    def label_probs(self, prompts: Sequence[str], labels: Sequence[str]) -> list[LabelProbs]:
        """Returns, per prompt, the probability of each label's first token as the next token."""
        with self._alone():
            return super().label_probs(prompts, labels)

    def read(self, passages: Sequence[Passage]) -> list[Reading]:
        """Returns, per passage, the lowest log-probability of a token in each of its lines."""
        with self._alone():
            return super().read(passages)

    def embed(self, prompts: Sequence[str]) -> list[Embedding]:
        """Returns, per prompt, the last hidden state at its last token, each entry in (-1, 1)."""
        with self._alone():
            return super().embed(prompts)

    @contextlib.contextmanager
    def updating(self) -> Generator[PreTrainedModel]:
        """Yields the model for its weights to be changed in place, then clears the caches.

        Requests made meanwhile wait. Raises RuntimeError if any are in flight.
        """
        with self._alone() as manager:
            if self._num_open:
                raise RuntimeError(f"expected no request in flight while weights change, got {self._num_open}")
            try:
                yield self.model
            finally:
                self.prefixes.clear()
                if manager is not None and manager.batch_processor is not None:
                    manager.batch_processor.cache.reset()

    @contextlib.contextmanager
    def _alone(self) -> Generator[ContinuousBatchingManager | None]:
        """Pauses the manager, so that only the caller uses the model. Yields the manager, None if it is not running."""
        with self._lock:
            if self._manager is None or not self._manager.is_running():
                yield None
            else:
                with self._manager.pause():
                    yield self._manager

    async def _generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        with self._lock:
            manager = self._started()
            self._num_open += len(requests)
        try:
            encoded = self.vocabulary.encode([request.prompt for request in requests])
            self.vocabulary.check_lengths(encoded, self.name, room=_LEAST_TOKENS)
            texts = [_Text(request, self.vocabulary, ids) for request, ids in zip(requests, encoded, strict=True)]
            samples: dict[str, list[_Text]] = {}
            for text in texts:
                samples.setdefault(text.request.prompt, []).append(text)
            await gather(self._write_samples(manager, group) for group in samples.values())
        finally:
            self._num_open -= len(requests)
        for text in texts:
            text.tokens_saved = max(0, len(text.prompt) - text.tokens_read)
        return [text.completion() for text in texts]

    async def _write_samples(self, manager: ContinuousBatchingManager, texts: Sequence[_Text]) -> None:
        """Decodes samples of one prompt. The first starts alone, so that the others find the prompt's blocks cached."""
        if len(texts) > 1 and len(texts[0].prompt) > self.page_size:
            await self._extend(manager, texts[0], _LEAST_TOKENS)
        await gather(self._write(manager, text) for text in texts)

    async def _write(self, manager: ContinuousBatchingManager, text: _Text) -> None:
        while text.stop_reason is None:
            await self._extend(manager, text, max(_LEAST_TOKENS, text.num_tokens_left))

    async def _extend(self, manager: ContinuousBatchingManager, text: _Text, most_tokens: int) -> None:
        """Decodes a text until β has to be checked, or for `most_tokens`."""
        num_written, num_read = len(text.tokens), text.draws.tokens_read
        output = await self._output(manager, text, most_tokens)
        if output.error is not None:
            raise ModelError(f"{self.name} failed on {text.request.prompt[-_SHOWN:]!r}: {output.error}")
        text.extend(output.generated_tokens, [SeededSampling.log_prob(reported) for reported in output.logprobs])
        # Computing the text's new tokens takes reading all but the last of them; what exceeds that is counted.
        text.tokens_read += text.draws.tokens_read - num_read - (len(text.tokens) - num_written - 1)

    async def _output(self, manager: ContinuousBatchingManager, text: _Text, most_tokens: int) -> GenerationOutput:
        """Returns the manager's output for one request. Cancelling this cancels the request."""
        name = next(self._names)
        answer: asyncio.Future[GenerationOutput] = asyncio.get_running_loop().create_future()

        def receive(output: GenerationOutput) -> None:
            if not answer.done():
                answer.set_result(output)

        manager.register_result_handler(name, receive)
        try:
            accepted = manager.add_request(
                text.prompt + text.tokens,
                request_id=name,
                max_new_tokens=most_tokens,
                eos_token_id=text.stop_ids(),
                draws=text.draws,
            )
            if accepted is None:
                raise ModelError(f"{self.name} takes no requests: its manager has stopped")
            return await answer
        except asyncio.CancelledError:
            manager.cancel_request(name)
            raise
        finally:
            manager.output_router.result_handlers.pop(name, None)

    def _started(self) -> ContinuousBatchingManager:
        """Returns the running manager. Called with the lock held, on the thread of the loop."""
        if self._manager is None or not self._manager.is_running():
            manager = self._manager = self._new_manager()
            manager.warmup()
            # The manager's thread is a daemon, as the thread that starts it is: a process may end without `close`.
            manager.start()
        return self._manager

    def _new_manager(self) -> ContinuousBatchingManager:
        on_cpu = self.model.device.type == "cpu"
        batching = ContinuousBatchingConfig(
            page_size=self.page_size,
            num_blocks=_CPU_TOKENS_CACHED // self.page_size if on_cpu else None,
            max_batch_tokens=_CPU_TOKENS_PER_BATCH if on_cpu else None,
            max_requests_per_batch=self.max_batch,
            max_blocks_per_request=0 if self.page_size % _TABLE_PAGE_SIZE else None,
            max_memory_percent=_MEMORY_SHARE,
            return_logprobs=True,
        )
        decoding = GenerationConfig(do_sample=False, eos_token_id=sorted(self.vocabulary.end_ids))
        manager = cast(ContinuousMixin, self.model).init_continuous_batching(decoding, batching)
        manager.logit_processor = SeededSampling(self.vocabulary.banned.to(self.model.device))
        return manager


class _Text(Writing):
    """A text in progress, with its prompt's tokens and its random draws."""

    def __init__(self, request: GenerationRequest, vocabulary: Vocabulary, prompt: list[int]) -> None:
        super().__init__(request, vocabulary, len(prompt))
        self.prompt = prompt
        self.draws = Draws(request.seed, request.temperature, len(prompt), request.max_tokens)
