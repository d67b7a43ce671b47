"""What a server allows: temperatures, the model's length, token ids for labels, characters of several tokens, waits."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

pytest.importorskip("openai", reason="needs the extra alphallm-env[server]")

from transformers import AutoTokenizer

from alphallm_env.errors import ServerError
from alphallm_env.lm.base import GenerationRequest
from alphallm_env.lm.server.client import ServerLM
from alphallm_env.lm.server.pool import ServerSettings
from alphallm_env.lm.shipped import TINY_POLICY
from alphallm_env.mdp.options import FormulaRule, RegexRule, SentenceRule, TokenRule
from alphallm_env.testing.faulty_server import LABELS, FaultServer, token_id
from alphallm_env.types import StopReason

QUICK = ServerSettings(attempts=4, first_wait=0.001, longest_wait=0.002, rest=0.001)
PROMPT = "Question 7 ? Answer:"  # 4 tokens
WHOLE = "Take 7 .\n\nTwice it .\n#### 7\n"  # 8 tokens
JUDGED = ["Judge it. Answer:", "Judge it again. Answer:"]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def lm(server: FaultServer) -> Iterator[ServerLM]:
    opened = ServerLM([server.url], settings=QUICK)
    yield opened
    opened.close()


def request(max_tokens: int = 40, **settings: object) -> GenerationRequest:
    return GenerationRequest(PROMPT, 7, max_tokens, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("scales", [True, False])
def test_a_client_finds_out_whether_log_probs_follow_the_temperature(
    server: FaultServer, lm: ServerLM, scales: bool
) -> None:
    server.temperature_scales = scales
    lm.generate([request(temperature=1.0)])
    assert lm.log_probs_follow_temperature is None
    lm.generate([request(temperature=0.7)])
    assert lm.log_probs_follow_temperature is scales
    assert {body["temperature"] for body in server.bodies} == {0.7, 1.0, 2.0}
    assert not lm.is_reproducible


def test_a_probe_that_is_refused_leaves_it_unknown_and_is_not_repeated(server: FaultServer, lm: ServerLM) -> None:
    server.highest_temperature = 1.0
    for _ in range(2):
        assert lm.generate([request(temperature=0.7)])[0].text == WHOLE
    assert lm.log_probs_follow_temperature is None
    assert [body["temperature"] for body in server.bodies].count(2.0) == 1


@pytest.mark.parametrize("max_model_len", [6, 8, 11])
@pytest.mark.parametrize("rule", [None, FormulaRule(), SentenceRule(), TokenRule(), RegexRule("no such text")])
def test_a_text_that_fills_the_models_length_ends_there(
    server: FaultServer, lm: ServerLM, max_model_len: int, rule: SentenceRule | None
) -> None:
    server.max_model_len = max_model_len
    room = max_model_len - 4
    [done] = lm.generate([request(rule=rule) if rule else request()])
    if isinstance(rule, TokenRule):
        assert (done.text, done.stop_reason) == ("Take ", StopReason.RULE)
    elif isinstance(rule, SentenceRule) and room > 2:
        assert (done.text, done.stop_reason) == ("Take 7 .\n\n", StopReason.RULE)
    else:
        assert (done.num_tokens, done.stop_reason) == (room, StopReason.LENGTH)
        assert WHOLE.startswith(done.text)


def test_a_server_that_does_not_report_its_length_says_so_when_it_is_reached(server: FaultServer) -> None:
    class Unreported(FaultServer):
        def _refusal(self, body: dict[str, object]) -> str:
            return "400" if len(self.bodies) > 3 else ""

        async def _send(self, writer: object, status: str, body: object, length: int = 0) -> None:
            said = {"error": {"message": "This model's maximum context length is 7 tokens."}}
            await super()._send(writer, status, said if status == "400" else body, length)  # type: ignore[arg-type]

    with Unreported(dialect="plain") as other:
        lm = ServerLM([other.url], settings=QUICK)
        [done] = lm.generate([request(rule=RegexRule("no such text"))])
        assert (done.text, done.num_tokens, done.stop_reason) == ("Take 7 .\n\n", 3, StopReason.LENGTH)
        with pytest.raises(ServerError, match=r"status 400.*maximum context length"):
            lm.generate([request()])
        lm.close()


def test_labels_take_one_request_by_the_ids_of_their_tokens(server: FaultServer) -> None:
    server.cached_tokens = 2
    lm = ServerLM([server.url], settings=QUICK, top_log_probs=1)
    for _ in range(2):
        found = lm.label_probs(JUDGED, ("False", "Maybe"))
        for answer, num_tokens in zip(found, (3, 4), strict=True):
            assert answer.probs == pytest.approx([math.exp(LABELS["False"]), math.exp(LABELS["Maybe"])])
            assert (answer.num_tokens, answer.saved_tokens) == (num_tokens, 2)
    assert len(server.bodies) == 4
    assert server.bodies[0]["logprob_token_ids"] == [token_id("False"), token_id("Maybe")]
    lm.close()


def test_the_ids_are_the_tokenizers_where_there_is_one(server: FaultServer) -> None:
    tokenizer = AutoTokenizer.from_pretrained(TINY_POLICY)
    lm = ServerLM([server.url], tokenizer=tokenizer, settings=QUICK)
    lm.label_probs(JUDGED[:1], ("True", "False"))
    assert server.bodies[0]["logprob_token_ids"] == [
        tokenizer("True")["input_ids"][0],
        tokenizer("False")["input_ids"][0],
    ]
    lm.close()


def test_a_server_that_knows_no_token_ids_is_asked_so_once(server: FaultServer, lm: ServerLM) -> None:
    server.scores_token_ids = False
    for _ in range(2):
        [answer] = lm.label_probs(JUDGED[:1], ("True", "False"))
        assert answer.probs == pytest.approx([math.exp(LABELS["True"]), math.exp(LABELS["False"])])
    assert ["logprob_token_ids" in body for body in server.bodies] == [True, False, False]


@pytest.mark.parametrize("dialect", ["vllm", "llama-cpp-python", "plain"])
def test_no_half_of_a_character_is_returned(server: FaultServer, lm: ServerLM, dialect: str) -> None:
    server.dialect, server.halved = dialect, "7"
    [token] = lm.generate([GenerationRequest(PROMPT + "Take ", 0, 40, TokenRule())])
    assert (token.text, token.num_tokens, token.stop_reason) == ("7 ", 2, StopReason.RULE)
    [cut, whole] = lm.generate([request(2), request(rule=FormulaRule())])
    assert (cut.text, cut.num_tokens, cut.stop_reason) == ("Take ", 2, StopReason.LENGTH)
    assert whole.text == WHOLE


def test_a_text_is_resumed_by_the_tokens_that_a_server_returns() -> None:
    class WithIds(FaultServer):
        def completion(self, body: dict[str, object]) -> dict[str, object]:
            prompt = body["prompt"]
            if isinstance(prompt, list):
                body = {**body, "prompt": "".join(chr(token) for token in prompt)}
            answer = super().completion(body)
            choice = answer["choices"][0]  # type: ignore[index]
            choice["prompt_token_ids"] = [ord(character) for character in str(body["prompt"])]
            written = "".join(choice["logprobs"]["tokens"])
            choice["token_ids"] = [ord(character) for character in written]
            return answer

    with WithIds() as other:
        lm = ServerLM([other.url], settings=QUICK)
        [done] = lm.generate([request(rule=FormulaRule())])
        assert (done.text, done.stop_reason) == (WHOLE, StopReason.END_OF_TEXT)
        first, second = other.bodies[:2]
        assert first["prompt"] == PROMPT
        assert second["prompt"] == [ord(character) for character in PROMPT + "Take 7 .\n\n"]
        lm.close()


def test_the_waits_between_attempts_outlast_the_restart_of_a_server() -> None:
    settings = ServerSettings()
    waits = [min(settings.longest_wait, settings.first_wait * 2**n) for n in range(settings.attempts - 1)]
    assert sum(waits) == 121.5
