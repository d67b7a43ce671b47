"""vLLM's own server on the CPU, behind `ServerLM`: texts, labels, lengths, temperatures, a death and a restart."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("openai", reason="needs the extra alphallm-env[server]")

from alphallm_env.errors import ServerError
from alphallm_env.lm.base import Completion, GenerationRequest
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.server.client import ServerLM
from alphallm_env.lm.shipped import TINY_POLICY
from alphallm_env.loading import load_policy
from alphallm_env.mdp.options import TO_THE_END, RegexRule, SentenceRule
from alphallm_env.testing import check_language_model
from alphallm_env.types import StopReason

START_SECONDS = 400  # of a busy machine; 35 to 75 of an idle one
LABELS = ("True", "False")
FLAGS = "--dtype float32 --enforce-eager --no-enable-chunked-prefill --block-size 32 --max-num-seqs 32"


class VLLMServer:
    """vLLM's server of the tiny policy, which may be killed and started again on its port."""

    def __init__(self, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Starts the process, which does not answer at once."""
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(TINY_POLICY)]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--enable-prompt-tokens-details", *FLAGS.split()]
        with self.log.open("a") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)

    def wait(self) -> None:
        """Waits until it answers."""
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while not self.get("/health"):
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            assert time.monotonic() < deadline, self.log.read_text()[-4000:]
            time.sleep(0.5)

    def get(self, path: str) -> str:
        """Returns what it answers, "" where it does not."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.read().decode() or "ok"
        except (urllib.error.URLError, OSError):
            return ""

    def num_requests(self) -> int:
        """Returns how many requests it has completed."""
        found = re.findall(r"^vllm:request_success_total\{.*\} ([0-9.e+]+)$", self.get("/metrics"), re.MULTILINE)
        return int(sum(map(float, found)))

    def kill(self) -> None:
        """Kills it with its engine."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VLLMServer]:
    running = VLLMServer(tmp_path_factory.mktemp("vllm") / "log")
    running.start()
    try:
        running.wait()
        yield running
    finally:
        running.kill()


@pytest.fixture(scope="module")
def lm(server: VLLMServer) -> Iterator[ServerLM]:
    policy = load_policy(server.url, tokenizer="tiny", backend_settings=["attempts=20", "top_log_probs=1"])
    assert isinstance(policy.lm, ServerLM)
    yield policy.lm
    policy.lm.close()


def assert_same(found: Sequence[Completion], expected: Sequence[Completion]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert (one.text, one.num_tokens, one.stop_reason) == (other.text, other.num_tokens, other.stop_reason)
        assert one.log_prob == pytest.approx(other.log_prob, abs=1e-2)


def test_the_contract_of_language_models(lm: ServerLM) -> None:
    check_language_model(lm)


def test_greedy_texts_are_those_of_transformers(
    lm: ServerLM, here: TransformersLM, grid: list[GenerationRequest]
) -> None:
    assert_same(lm.generate(grid), here.generate(grid))


def test_a_policy_at_temperature_07(server: VLLMServer) -> None:
    policy = load_policy(server.url, tokenizer="tiny", temperature=0.7)
    prompt = policy.template.solve("How many is 3 + 4?", "")
    requests = [GenerationRequest(prompt, seed, 40, SentenceRule(), policy.temperature) for seed in range(8)]
    done = policy.lm.generate(requests)
    assert all(completion.text and completion.log_prob < 0.0 for completion in done)
    assert isinstance(policy.lm, ServerLM)
    assert policy.lm.log_probs_follow_temperature is False
    policy.lm.close()


@pytest.mark.parametrize("tokenizer", ["tiny", ""])
def test_labels_are_those_of_transformers_and_take_one_request(
    server: VLLMServer, here: TransformersLM, grid: list[GenerationRequest], tokenizer: str
) -> None:
    settings = ["top_log_probs=1"]  # too few to find both among the likeliest
    lm = load_policy(server.url, tokenizer=tokenizer, backend_settings=settings).lm
    prompts = [request.prompt for request in grid[::3]]
    expected = here.label_probs(prompts, LABELS)
    before = server.num_requests()
    found = lm.label_probs(prompts, LABELS)
    assert server.num_requests() == before + len(prompts)
    for one, other in zip(found, expected, strict=True):
        assert one.probs == pytest.approx(other.probs, rel=1e-2)
        assert one.num_tokens == other.num_tokens


def test_a_text_that_fills_the_models_length_ends_there(
    lm: ServerLM, here: TransformersLM, prompt_of: Callable[[int], str]
) -> None:
    for rule in (RegexRule("no such text"), TO_THE_END):
        request = GenerationRequest(prompt_of(509), 0, 600, rule, temperature=0.0)
        [done] = lm.generate([request])
        assert_same([done], here.generate([replace(request, max_tokens=3)]))
        assert (done.num_tokens, done.stop_reason) == (3, StopReason.LENGTH)
    with pytest.raises(ServerError, match=r"status 400.*512"):
        lm.generate([GenerationRequest(prompt_of(600), 0, 4)])


def test_a_death_in_the_middle_and_a_restart_lose_nothing(
    server: VLLMServer, lm: ServerLM, here: TransformersLM, grid: list[GenerationRequest]
) -> None:
    requests = grid * 8
    found: list[Completion] = []
    asking = threading.Thread(target=lambda: found.extend(lm.generate(requests)))
    asking.start()
    time.sleep(1.0)
    server.kill()
    assert asking.is_alive()
    server.start()
    asking.join(START_SECONDS)
    assert not asking.is_alive()
    assert_same(found, here.generate(grid) * 8)
