"""vLLM in process: its asynchronous engine with prefix caching; weights or LoRA adapters can be replaced."""

from __future__ import annotations

import contextlib
import importlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self, cast

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase

from alphallm_env.errors import ModelError
from alphallm_env.lm.base import Completion, GenerationRequest, LabelProbs
from alphallm_env.lm.checkpoints import check_config, check_weights, model_config, shapes_in
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.partial_completion import Writing
from alphallm_env.lm.vllm_engine import check_arguments, import_vllm, shared_engine
from alphallm_env.runtime.computing import ModelSize
from alphallm_env.runtime.concurrency import gather
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.types import StopReason

_NEVER = -100.0  # the lowest logit bias that vLLM accepts
_SHOWN = 60  # characters of a prompt in an error


class VLLMLM:
    """A causal LM that vLLM runs. Any thread or event loop may call it. Needs `pip install alphallm-env[vllm]`.

    The other arguments are those of vLLM's `AsyncEngineArgs`: `dtype`, `gpu_memory_utilization`, `max_model_len`,
    `tensor_parallel_size`, `enable_lora`. The trigger of β is a stop string, and where β does not fire another
    request resumes from the cached prefix. A text that fills the model's length ends there.

    Models of the same shape and arguments share one engine, which holds the weights of one of them at a time: those
    that ask for others wait until it is idle. It ends with the last of them. Where its process dies, requests raise
    ServerError, so that a search can be resumed, and the next request starts it again.

    Differs: log-probabilities are over the whole vocabulary, special tokens included.
    """

    is_reproducible = False  # the last bits of the logits depend on the rest of the batch

    def __init__(self, source: str | Path, **engine_arguments: object) -> None:
        import_vllm()
        self.name = str(source)
        self._words = _without_weights(self.name)
        self.tokenizer = self._words.tokenizer
        self._biases = dict.fromkeys(self._words.vocabulary.banned.nonzero()[:, 0].tolist(), _NEVER)
        self._adapter: object = None
        self._folder = self.name  # of its weights
        self._is_closed = False
        self._engine = shared_engine(self.name, engine_arguments)
        self._engine.add_user(self)

    @classmethod
    def load(cls, source: str, device: str = "auto", dtype: str = "auto", **settings: object) -> Self:  # noqa: ARG003
        """Returns the model in a folder or of a hub name. vLLM chooses the device by itself.

        `settings` are vLLM's engine arguments. Raises ValueError, which lists them, for another.
        """
        check_arguments(settings)
        return cls(source, dtype=dtype, **settings)

    def close(self) -> None:
        """Ends this model, for good, and with the last model of its engine the engine, which frees its memory."""
        self._is_closed = True
        self._engine.remove_user(self)

    @property
    def size(self) -> ModelSize:
        """The weights that a token touches, and what attention adds."""
        return self._words.size

    @property
    def process_ids(self) -> list[int]:
        """The processes in which the model runs."""
        return self._engine.process_ids

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Returns one completion per request, in order. Raises ModelError if the engine fails.

        That is a ServerError where its process has died.
        """
        return self._engine.thread.run(self._generate(requests))

    async def generate_async(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Returns what `generate` returns."""
        return await self._engine.thread.wait(self._generate(requests))

    def label_probs(self, prompts: Sequence[str], labels: Sequence[str]) -> list[LabelProbs]:
        """Returns, per prompt, the probability of each label's first token as the next token."""
        return self._engine.thread.run(self._label_probs(prompts, labels))

    async def label_probs_async(self, prompts: Sequence[str], labels: Sequence[str]) -> list[LabelProbs]:
        """Returns what `label_probs` returns."""
        return await self._engine.thread.wait(self._label_probs(prompts, labels))

    def count_tokens(self, text: str) -> int:
        """Returns how many tokens the tokenizer makes of `text`."""
        return self._words.count_tokens(text)

    def use_weights(self, folder: str | Path) -> None:
        """Loads the weights of a checkpoint of the same model, once what is in flight is done.

        The cache of the old weights is cleared; requests made meanwhile wait. Raises ModelError, which names the
        folder, where it does not hold weights of this model: then the old ones stay loaded.
        """
        check_config(folder, model_config(self.name))
        check_weights(folder, self._shapes(), bool(self._words.model.config.tie_word_embeddings))
        self._engine.thread.run(self._engine.load(str(folder)))
        self._folder = str(folder)

    def _shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Returns the tensors of the model, as its own folder names them, or else as transformers does."""
        if Path(self.name).is_dir():
            return shapes_in(self.name)
        return {name: tuple(tensor.shape) for name, tensor in self._words.model.state_dict().items()}

    def use_adapter(self, folder: str | Path | None) -> None:
        """Runs later requests with the LoRA adapter in a folder, without one where None.

        The engine must have been made with `enable_lora=True`. Adapters share no cached prefixes. Raises ModelError
        where the folder holds no adapter.
        """
        if folder is None:
            self._adapter = None
            return
        if not Path(folder, "adapter_config.json").is_file():
            raise ModelError(f"expected a LoRA adapter in {str(folder)!r}, got no adapter_config.json")
        number = self._engine.new_adapter_id()
        requests = importlib.import_module("vllm.lora.request")
        self._adapter = requests.LoRARequest(f"adapter-{number}", number, str(folder))

    async def _generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        texts = [Writing(request, self._words.vocabulary) for request in requests]
        prompts = self._encoded([request.prompt for request in requests])
        async with self._engine.with_weights(self._folder):
            await gather(map(self._write, texts, prompts))
        return [text.completion() for text in texts]

    async def _write(self, text: Writing, prompt: list[int]) -> None:
        about = f"{text.request.prompt[-_SHOWN:]!r}"
        while text.stop_reason is None:
            tokens = prompt + text.tokens
            room = self._engine.max_model_len - len(tokens)
            if room < 1:
                text.stop_reason = StopReason.LENGTH
                return
            seed = derive_seed(text.request.seed, len(text.tokens)) if text.tokens else text.request.seed
            output = await self._engine.output(
                tokens,
                self._adapter,
                about,
                temperature=text.request.temperature,
                seed=seed,
                max_tokens=min(text.num_tokens_left, room),
                stop=text.request.stop_strings(text.text),
                include_stop_str_in_output=True,
                stop_token_ids=sorted(self._words.vocabulary.end_ids),
                logit_bias=self._biases,
                logprobs=0,  # of the generated token only
            )
            [written] = output.outputs
            ids, cached = list(written.token_ids), int(output.num_cached_tokens or 0)
            if not text.tokens:
                text.tokens_saved = cached
            text.extend(ids, [found[token].logprob for token, found in zip(ids, written.logprobs, strict=True)])
            text.tokens_read += len(tokens) - cached

    async def _label_probs(self, prompts: Sequence[str], labels: Sequence[str]) -> list[LabelProbs]:
        ids = self._words.label_ids(tuple(labels))
        encoded = self._encoded(prompts)

        async def judge(prompt: str, tokens: list[int]) -> LabelProbs:
            about = f"{prompt[-_SHOWN:]!r}"
            output = await self._engine.output(
                tokens, self._adapter, about, temperature=0.0, max_tokens=1, logprob_token_ids=list(ids)
            )
            found = output.outputs[0].logprobs[0]
            probs = tuple(math.exp(found[i].logprob) for i in ids)
            return LabelProbs(probs, len(tokens), int(output.num_cached_tokens or 0))

        async with self._engine.with_weights(self._folder):
            return await gather(map(judge, prompts, encoded))

    def _encoded(self, prompts: Sequence[str]) -> list[list[int]]:
        """Returns the prompts' tokens. Raises ModelError, which names both lengths, for one that fills the model."""
        if self._is_closed:
            raise ModelError(f"{self.name} was closed: make it anew")
        encoded = self._words.vocabulary.encode(prompts)
        most = self._engine.max_model_len
        for prompt, tokens in zip(prompts, encoded, strict=True):
            if len(tokens) >= most:
                raise ModelError(
                    f"expected a prompt of fewer tokens than the {most} that {self.name} reads, got {len(tokens)}: "
                    f"…{prompt[-_SHOWN:]!r}"
                )
        return encoded


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
