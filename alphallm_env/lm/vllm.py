"""vLLM in process: its asynchronous engine with prefix caching; weights or LoRA adapters can be replaced."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Self, cast

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase

from alphallm_env.errors import ModelError
from alphallm_env.lm.base import Completion, GenerationRequest, LabelProbs
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.partial_completion import Writing
from alphallm_env.runtime.concurrency import LoopThread, gather
from alphallm_env.runtime.seeds import derive_seed

_NEVER = -100.0  # the lowest logit bias that vLLM accepts
_SHOWN = 60  # characters of a prompt in an error


class VLLMLM:
    """A causal LM that vLLM runs. Any thread or event loop may call it. Needs `pip install alphallm-env[vllm]`.

    The other arguments are those of vLLM's `AsyncEngineArgs`: `dtype`, `gpu_memory_utilization`, `max_model_len`,
    `tensor_parallel_size`, `enable_lora`. The trigger of β is a stop string, and where β does not fire another
    request resumes from the cached prefix.

    Differs: log-probabilities are over the whole vocabulary, special tokens included.
    """

    is_reproducible = False  # the last bits of the logits depend on the rest of the batch

    def __init__(self, source: str | Path, **engine_arguments: object) -> None:
        self.name = str(source)
        self._vllm = _import_vllm()
        self._words = _without_weights(str(source))
        self.tokenizer = self._words.tokenizer
        self._biases = dict.fromkeys(self._words.vocabulary.banned.nonzero()[:, 0].tolist(), _NEVER)
        self._names = map(str, itertools.count())
        self._adapter: object = None
        self._adapters = itertools.count(1)
        self._thread = LoopThread(f"vllm {source}", serves_one_process=True)
        self._engine = self._thread.run(self._started(engine_arguments))

    @classmethod
    def load(cls, source: str, device: str = "auto", dtype: str = "auto") -> Self:  # noqa: ARG003
        """Returns the model in a folder or of a hub name. vLLM chooses the device by itself."""
        return cls(source, dtype=dtype)

    async def _started(self, arguments: dict[str, object]) -> Any:
        """Returns a new engine, which belongs to the loop that runs this."""
        settings = {"model": self.name, "enable_prefix_caching": True, "disable_log_stats": True, **arguments}
        return self._vllm.AsyncLLMEngine.from_engine_args(self._vllm.AsyncEngineArgs(**settings))

    def close(self) -> None:
        """Stops the engine and frees its memory, for good."""
        self._engine.shutdown()
        self._thread.close()

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Returns one completion per request, in order. Raises ModelError if the engine fails."""
        return self._thread.run(self._generate(requests))

    async def generate_async(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Returns what `generate` returns."""
        return await self._thread.wait(self._generate(requests))

    def label_probs(self, prompts: Sequence[str], labels: Sequence[str]) -> list[LabelProbs]:
        """Returns, per prompt, the probability of each label's first token as the next token."""
        return self._thread.run(self._label_probs(prompts, labels))

    async def label_probs_async(self, prompts: Sequence[str], labels: Sequence[str]) -> list[LabelProbs]:
        """Returns what `label_probs` returns."""
        return await self._thread.wait(self._label_probs(prompts, labels))

    def count_tokens(self, text: str) -> int:
        """Returns how many tokens the tokenizer makes of `text`."""
        return self._words.count_tokens(text)

    def use_weights(self, folder: str | Path) -> None:
        """Loads the weights of a checkpoint of the same model, once what is in flight is done.

        Requests made meanwhile raise ModelError. The cache of the old weights is cleared.
        """
        self._thread.run(self._use_weights(str(folder)))

    async def _use_weights(self, folder: str) -> None:
        await self._engine.pause_generation(mode="wait", clear_cache=True)
        try:
            await self._engine.collective_rpc("reload_weights", kwargs={"weights_path": folder})
        finally:
            await self._engine.resume_generation()

    def use_adapter(self, folder: str | Path | None) -> None:
        """Runs later requests with the LoRA adapter in a folder, without one where None.

        The engine must have been made with `enable_lora=True`. Adapters share no cached prefixes.
        """
        requests = importlib.import_module("vllm.lora.request")
        number = next(self._adapters)
        self._adapter = None if folder is None else requests.LoRARequest(f"adapter-{number}", number, str(folder))

    async def _generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        texts = [Writing(request, self._words.vocabulary) for request in requests]
        prompts = self._words.vocabulary.encode([request.prompt for request in requests])
        await gather(map(self._write, texts, prompts))
        return [text.completion() for text in texts]

    async def _write(self, text: Writing, prompt: list[int]) -> None:
        while text.stop_reason is None:
            tokens = prompt + text.tokens
            seed = derive_seed(text.request.seed, len(text.tokens)) if text.tokens else text.request.seed
            output = await self._output(
                tokens,
                temperature=text.request.temperature,
                seed=seed,
                max_tokens=text.num_tokens_left,
                stop=text.request.stop_strings(text.text),
                include_stop_str_in_output=True,
                stop_token_ids=sorted(self._words.vocabulary.end_ids),
                logit_bias=self._biases,
                logprobs=0,  # of the generated token only
            )
            [written] = output.outputs
            ids = list(written.token_ids)
            text.extend(ids, [found[token].logprob for token, found in zip(ids, written.logprobs, strict=True)])
            text.tokens_read += len(tokens) - (output.num_cached_tokens or 0)

    async def _label_probs(self, prompts: Sequence[str], labels: Sequence[str]) -> list[LabelProbs]:
        ids = self._words.label_ids(tuple(labels))
        encoded = self._words.vocabulary.encode(prompts)
        results: dict[int, LabelProbs] = {}

        async def judge(index: int, tokens: list[int]) -> None:
            output = await self._output(tokens, temperature=0.0, max_tokens=1, logprob_token_ids=list(ids))
            found = output.outputs[0].logprobs[0]
            results[index] = LabelProbs(tuple(math.exp(found[i].logprob) for i in ids), len(tokens))

        await gather(judge(index, tokens) for index, tokens in enumerate(encoded))
        return [results[index] for index in range(len(prompts))]

    async def _output(self, tokens: list[int], **sampling: object) -> Any:
        """Returns vLLM's `RequestOutput`. Raises ModelError if there is none. Cancelling this aborts the request."""
        kinds = importlib.import_module("vllm.sampling_params").RequestOutputKind
        parameters = self._vllm.SamplingParams(output_kind=kinds.FINAL_ONLY, **sampling)
        prompt = {"prompt_token_ids": tokens}
        try:
            answers = self._engine.generate(prompt, parameters, next(self._names), lora_request=self._adapter)
            *_, output = [answer async for answer in answers]
        except Exception as error:  # vLLM's errors have no root of their own in all versions
            shown = self._words.vocabulary.decode(tokens)[-_SHOWN:]
            raise ModelError(f"vLLM failed with {self.name} on {shown!r}: {error}") from error
        return output


def _import_vllm() -> ModuleType:
    try:
        return importlib.import_module("vllm")
    except ImportError as error:
        raise ModelError(f"vLLM cannot be used, try pip install alphallm-env[vllm]: {error}") from error


def _without_weights(source: str) -> TransformersLM:
    """Returns a model with its tokenizer and no weights."""
    try:
        tokenizer = cast(PreTrainedTokenizerBase, AutoTokenizer.from_pretrained(source))
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(source))
    except (OSError, ValueError) as error:
        raise ModelError(f"expected a causal LM with its tokenizer at {source!r}: {error}") from error
    with contextlib.suppress(OSError):  # without one, the model's configuration applies
        model.generation_config = GenerationConfig.from_pretrained(source)
    return TransformersLM(model, tokenizer, source)
