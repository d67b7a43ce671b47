"""The server backend against a server on loopback that fails on demand: texts, labels, faults, several servers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import formatdate

import pytest

pytest.importorskip("openai", reason="needs the extra alphallm-env[server]")

from transformers import AutoTokenizer

from alphallm_env.errors import ModelError, ServerError
from alphallm_env.lm.base import Completion, GenerationRequest
from alphallm_env.lm.prompts import FewShotTemplate, TinyTemplate
from alphallm_env.lm.server.answers import AnswerError, read_answer
from alphallm_env.lm.server.client import ServerLM
from alphallm_env.lm.server.pool import ServerSettings, seconds_to_wait
from alphallm_env.lm.shipped import TINY_POLICY
from alphallm_env.loading import load_policy
from alphallm_env.mdp.options import FormulaRule, RegexRule, SentenceRule, TokenRule
from alphallm_env.testing import check_language_model
from alphallm_env.testing.faulty_server import LABELS, TOKEN_LOG_PROB, FaultServer
from alphallm_env.types import StopReason

QUICK = ServerSettings(attempts=4, first_wait=0.001, longest_wait=0.002, rest=0.001)
DIALECTS = ("vllm", "llama-cpp-python", "plain")
FAULTS = ("429", "500", "garbage", "shape", "half", "close")
Client = Callable[..., ServerLM]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def client() -> Iterator[Client]:
    opened: list[ServerLM] = []

    def connect(*servers: FaultServer, **settings: object) -> ServerLM:
        lm = ServerLM([one.url for one in servers], **{"settings": QUICK, **settings})  # type: ignore[arg-type]
        opened.append(lm)
        return lm

    yield connect
    for lm in opened:
        lm.close()


def prompt(number: int) -> str:
    return f"Question {number} ? Answer:"


def request(number: int = 7, **settings: object) -> GenerationRequest:
    return GenerationRequest(prompt(number), number, **{"max_tokens": 40, **settings})  # type: ignore[arg-type]


def whole_text(number: int) -> str:
    return f"Take {number} .\n\nTwice it .\n#### {number}\n"


def assert_all_answered(completions: list[Completion], count: int) -> None:
    assert [completion.text for completion in completions] == [whole_text(number) for number in range(count)]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_contract_of_language_models(server: FaultServer, client: Client, dialect: str) -> None:
    server.dialect = dialect
    tokenizer = AutoTokenizer.from_pretrained(TINY_POLICY) if dialect == "plain" else None
    check_language_model(client(server, tokenizer=tokenizer))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_rule_ends_an_option_and_the_model_a_text(server: FaultServer, client: Client, dialect: str) -> None:
    server.dialect = dialect
    line, whole = client(server).generate([request(rule=SentenceRule()), request()])
    # The token ".\n\n" holds more than the stop string; an option has whole tokens, as in process.
    assert (line.text, line.num_tokens, line.stop_reason) == ("Take 7 .\n\n", 3, StopReason.RULE)
    assert line.log_prob == pytest.approx(3 * TOKEN_LOG_PROB)
    assert (whole.text, whole.stop_reason) == (whole_text(7), StopReason.END_OF_TEXT)
    assert whole.num_tokens == (9 if dialect == "vllm" else 8)  # the others do not tell of the end of the text


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_text_goes_on_where_the_rule_does_not_fire(server: FaultServer, client: Client, dialect: str) -> None:
    server.dialect = dialect
    whole = client(server).generate([request(rule=FormulaRule())])[0]
    assert (whole.text, whole.stop_reason) == (whole_text(7), StopReason.END_OF_TEXT)
    assert [body["prompt"] for body in server.bodies] == [
        prompt(7),
        prompt(7) + "Take 7 .\n\n",
        prompt(7) + "Take 7 .\n\nTwice it .\n",
        prompt(7) + whole_text(7),
    ]
    assert [body["max_tokens"] for body in server.bodies] == [40, 37, 34, 32]
    assert len({body["seed"] for body in server.bodies}) == 4


def test_log_probs_that_leave_out_a_token_are_an_error(server: FaultServer, client: Client) -> None:
    server.dialect = "llama.cpp"
    lm = client(server)
    assert lm.generate([request()])[0].log_prob == pytest.approx(8 * TOKEN_LOG_PROB)
    with pytest.raises(ServerError, match=f"{server.url} gives log-probabilities of 2 of 3 tokens only.*seed 7"):
        lm.generate([request(rule=SentenceRule())])


def test_a_rule_without_a_trigger_is_asked_at_every_token(server: FaultServer, client: Client) -> None:
    token, found = client(server).generate([request(rule=TokenRule()), request(rule=RegexRule("Twice "))])
    assert (token.text, token.num_tokens, token.stop_reason) == ("Take ", 1, StopReason.RULE)
    assert (found.text, found.num_tokens, found.stop_reason) == ("Take 7 .\n\nTwice ", 4, StopReason.RULE)
    assert {body["max_tokens"] for body in server.bodies} == {1}


def test_the_token_limit_cuts(server: FaultServer, client: Client) -> None:
    completion, line = client(server).generate([request(max_tokens=2), request(max_tokens=3, rule=SentenceRule())])
    assert (completion.text, completion.num_tokens, completion.stop_reason) == ("Take 7 ", 2, StopReason.LENGTH)
    assert (line.num_tokens, line.stop_reason) == (3, StopReason.RULE)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_text_ends_before_the_stop_text(server: FaultServer, client: Client, dialect: str) -> None:
    server.dialect = dialect
    begun = replace(request(stop_text="\nTwice", rule=SentenceRule()), prompt=prompt(7) + "Take 7 .\n\n")
    cut, nothing = client(server).generate([request(stop_text="\n####"), begun])
    assert (cut.text, cut.num_tokens, cut.stop_reason) == ("Take 7 .\n\nTwice it .", 7, StopReason.END_OF_TEXT)
    assert (nothing.text, nothing.num_tokens, nothing.stop_reason) == ("", 1, StopReason.END_OF_TEXT)


def test_samples_of_one_prompt_read_it_once_unless_the_server_tells(server: FaultServer, client: Client) -> None:
    lm = client(server)
    assert [done.prompt_tokens for done in lm.generate([request()] * 3)] == [4, 0, 0]
    server.cached_tokens = 3
    assert [done.prompt_tokens for done in lm.generate([request()] * 3)] == [1, 1, 1]


def test_a_server_is_asked_for_the_whole_distribution(server: FaultServer, client: Client) -> None:
    client(server, extra_body={"min_p": 0.1}).generate([request(temperature=0.0)])
    body = server.bodies[0]
    assert (body["top_p"], body["top_k"], body["repetition_penalty"], body["min_p"]) == (1.0, -1, 1.0, 0.1)
    assert (body["model"], body["temperature"]) == ("words", 0.0)
    server.dialect = "plain"
    client(server).generate([request()])
    assert set(server.bodies[1]) == {"model", "prompt", "seed", "max_tokens", "temperature", "top_p", "logprobs"}


def test_labels_are_looked_up_among_the_likeliest_tokens(server: FaultServer, client: Client) -> None:
    server.dialect = "llama-cpp-python"
    found = client(server).label_probs(["Judge it. Answer:", "Judge it again. Answer:"], ("False", "True"))
    for answer, num_tokens in zip(found, (3, 4), strict=True):
        assert answer.probs == pytest.approx([math.exp(LABELS["False"]), math.exp(LABELS["True"])])
        assert answer.num_tokens == num_tokens
    assert len(server.bodies) == 2


def test_a_rarer_label_is_read_from_an_echoed_prompt(server: FaultServer, client: Client) -> None:
    server.dialect = "llama-cpp-python"
    lm = client(server, top_log_probs=2)
    answer = lm.label_probs(["Judge it. Answer:"], ("True", "Maybe"))[0]
    assert answer.probs == pytest.approx([math.exp(LABELS["True"]), math.exp(LABELS["Maybe"])])
    assert len(server.bodies) == 3  # one of them shows that an echo can be trusted
    lm.label_probs(["Judge it. Answer:"], ("True", "Maybe"))
    assert len(server.bodies) == 5


@pytest.mark.parametrize(
    ("echo", "message"), [("none", "no log-probabilities of a prompt"), ("shifted", "not those of its tokens")]
)
def test_a_label_that_a_server_does_not_tell_of_is_an_error(
    server: FaultServer, client: Client, echo: str, message: str
) -> None:
    server.dialect, server.echo = "llama-cpp-python", echo
    with pytest.raises(ServerError, match=f"{server.url}.*'Maybe' is not among the 2 likeliest.*{message}"):
        client(server, top_log_probs=2).label_probs(["Judge it. Answer:"], ("True", "Maybe"))


def test_labels_that_may_begin_alike_are_refused(server: FaultServer, client: Client) -> None:
    tokenizer = AutoTokenizer.from_pretrained(TINY_POLICY)
    for lm in (client(server), client(server, tokenizer=tokenizer)):
        with pytest.raises(ModelError, match="different first tokens"):
            lm.label_probs(["Judge it. Answer:"], ("True", "True False"))
    assert not server.bodies


def test_a_server_without_log_probs_is_an_error_at_once(server: FaultServer, client: Client) -> None:
    server.dialect = "transformers"
    lm = client(server)
    with pytest.raises(ServerError, match=f"{server.url} gives no log-probabilities.*seed 7.*Question 7"):
        lm.generate([request()])
    with pytest.raises(ServerError, match=f"{server.url} gives no log-probabilities.*Judge it"):
        lm.label_probs(["Judge it. Answer:"], ("True", "False"))
    assert len(server.bodies) == 2


def test_tokens_are_counted_by_the_server_or_the_tokenizer(server: FaultServer, client: Client) -> None:
    assert client(server).count_tokens("one two three") == 3
    server.dialect = "llama-cpp-python"
    assert client(server).count_tokens("one two three") == 3
    server.dialect = "plain"
    with pytest.raises(ServerError, match="give the model's tokenizer"):
        client(server).count_tokens("one two three")
    tokenizer = AutoTokenizer.from_pretrained(TINY_POLICY)
    assert client(server, tokenizer=tokenizer).count_tokens("1 + 1") == len(tokenizer("1 + 1")["input_ids"])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_passes_is_survived(server: FaultServer, client: Client, fault: str) -> None:
    server.faults.extend([fault] * (QUICK.attempts - 1))
    assert client(server).generate([request()])[0].text == whole_text(7)
    assert len(server.bodies) == QUICK.attempts


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_stays_is_an_error_that_names_server_and_request(
    server: FaultServer, client: Client, fault: str
) -> None:
    server.fault = fault
    lm = client(server)
    with pytest.raises(ServerError, match=f"{server.url}.*last of 4 attempts.*seed 7 after.*Question 7"):
        lm.generate([request()])
    assert len(server.bodies) == QUICK.attempts
    with pytest.raises(ServerError, match=f"{server.url}.*Judge it"):
        lm.label_probs(["Judge it. Answer:"], ("True", "False"))
    server.fault = ""
    assert lm.generate([request()])[0].text == whole_text(7)


def test_a_server_that_says_nothing_for_long_is_left(server: FaultServer, client: Client) -> None:
    lm = client(server, settings=replace(QUICK, timeout=0.5))
    server.faults.append("hang")
    assert lm.generate([request()])[0].text == whole_text(7)
    server.fault = "hang"
    with pytest.raises(ServerError, match=f"{server.url}.*timed out"):
        lm.generate([request()])


def test_a_request_that_is_refused_is_not_repeated(server: FaultServer, client: Client) -> None:
    server.fault = "400"
    with pytest.raises(ServerError, match=f"{server.url}: status 400.*fault 400.*seed 7"):
        client(server).generate([request()])
    assert len(server.bodies) == 1


def test_retry_after_is_honoured_within_bounds(server: FaultServer, client: Client) -> None:
    assert seconds_to_wait({"retry-after": "7"}) == 7.0
    assert seconds_to_wait({"retry-after": formatdate(0)}) == 0.0
    assert seconds_to_wait({"retry-after": "soon"}) is None
    server.faults.append("429")
    server.retry_after = "86400"
    assert client(server).generate([request()])[0].text == whole_text(7)


def test_many_faults_lose_nothing_and_double_nothing(server: FaultServer, client: Client) -> None:
    injected = [*FAULTS, *FAULTS]
    server.faults.extend(injected)
    lm = client(server, settings=replace(QUICK, attempts=len(injected) + 1))
    assert_all_answered(lm.generate([request(number) for number in range(30)]), 30)
    assert len(server.bodies) == 30 + len(injected)


def test_requests_in_flight_are_bounded(server: FaultServer, client: Client) -> None:
    server.seconds = 0.02
    lm = client(server, settings=replace(QUICK, max_in_flight=3))
    assert_all_answered(lm.generate([request(number) for number in range(20)]), 20)
    assert server.most_in_flight == 3


def test_the_least_loaded_server_is_asked(server: FaultServer, client: Client) -> None:
    server.seconds = 0.05
    with FaultServer(seconds=0.05) as other:
        lm = client(server, other, settings=replace(QUICK, max_in_flight=2))
        assert_all_answered(lm.generate([request(number) for number in range(12)]), 12)
        assert server.most_in_flight == other.most_in_flight == 2
        assert len(server.bodies) + len(other.bodies) == 12


def test_a_server_that_dies_is_left_out_and_tried_again_later(server: FaultServer, client: Client) -> None:
    with FaultServer() as other:
        lm = client(server, other, settings=replace(QUICK, rest=3600.0))
        lm.generate([request(number) for number in range(8)])
        other.die()
        assert_all_answered(lm.generate([request(number) for number in range(20)]), 20)
        answered = len(server.bodies)
        assert_all_answered(lm.generate([request(number) for number in range(20)]), 20)
        assert len(server.bodies) == answered + 20
        again = client(server, other)  # rests for a millisecond
        again.generate([request(number) for number in range(8)])
        other.start()
        before = len(other.bodies)
        while len(other.bodies) == before:
            assert_all_answered(again.generate([request(number) for number in range(8)]), 8)


def test_a_failing_server_does_not_draw_all_requests(server: FaultServer, client: Client) -> None:
    server.fault = "500"
    with FaultServer() as other:
        lm = client(server, other, settings=replace(QUICK, first_wait=1.0, longest_wait=1.0))
        assert_all_answered(lm.generate([request(number) for number in range(20)]), 20)
        assert len(other.bodies) == 20


def test_all_servers_dead_is_an_error(server: FaultServer, client: Client) -> None:
    with FaultServer() as other:
        lm = client(server, other)
        lm.generate([request()])
    server.die()
    with pytest.raises(ServerError, match=r"Connection error.*last of 4 attempts.*seed 7"):
        lm.generate([request()])


def test_one_client_serves_several_event_loops_and_threads(server: FaultServer, client: Client) -> None:
    lm = client(server)

    async def ask() -> list[Completion]:
        halves = (lm.generate_async([request(number)]) for number in range(4))
        return [done for half in await asyncio.gather(*halves) for done in half]

    assert_all_answered(asyncio.run(ask()), 4)
    assert_all_answered(asyncio.run(ask()), 4)
    assert_all_answered(lm.generate([request(number) for number in range(4)]), 4)
    labels = asyncio.run(lm.label_probs_async(["Judge it. Answer:"], ("True", "False")))
    assert labels == lm.label_probs(["Judge it. Answer:"], ("True", "False"))


def test_a_cancelled_call_ends_its_requests(server: FaultServer, client: Client) -> None:
    server.fault = "hang"
    lm = client(server, settings=replace(QUICK, max_in_flight=2))

    async def give_up() -> None:
        asking = asyncio.ensure_future(lm.generate_async([request(number) for number in range(4)]))
        while server.in_flight < 2:
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(give_up())
    server.fault = ""
    assert_all_answered(lm.generate([request(number) for number in range(4)]), 4)  # the places are free again
    assert len(server.bodies) == 2 + 4


def test_an_answer_must_be_one() -> None:
    choice = {"text": "7", "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    not_a_number = {"tokens": ["7"], "token_logprobs": [float("nan")], "top_logprobs": None}
    for body in (
        [],
        {"choices": [], "usage": usage},
        {"choices": [choice]},
        {"choices": [choice], "usage": {**usage, "completion_tokens": -1}},
        {"choices": [{**choice, "finish_reason": None}], "usage": usage},
        {"choices": [{**choice, "logprobs": not_a_number}], "usage": usage},
        {"choices": [{**choice, "logprobs": {**not_a_number, "token_logprobs": []}}], "usage": usage},
    ):
        with pytest.raises(AnswerError):
            read_answer(body)


def test_log_probs_as_in_a_chat_are_understood() -> None:
    top = [{"token": "7", "logprob": -0.5}, {"token": "8", "logprob": -1.5}]
    log_probs = {"content": [{"token": "7", "logprob": -0.5, "top_logprobs": top}]}
    choice = {"text": "7", "finish_reason": "length", "logprobs": log_probs}
    answer = read_answer({"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
    assert answer.tokens is not None
    assert (answer.tokens[0].log_prob, answer.tokens[0].top) == (-0.5, {"7": -0.5, "8": -1.5})


def test_a_policy_is_loaded_by_url(server: FaultServer) -> None:
    policy = load_policy(server.url)
    assert isinstance(policy.template, FewShotTemplate)
    assert policy.lm.generate([request()])[0].text == whole_text(7)
    tiny = load_policy(f"{server.url}, {server.url}", tokenizer="tiny", model="words", temperature=0.7)
    assert isinstance(tiny.template, TinyTemplate)
    assert tiny.temperature == 0.7
    assert tiny.lm.name == f"{server.url}, {server.url} words"


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="max_in_flight"):
        ServerSettings(max_in_flight=0)
    with pytest.raises(ValueError, match="timeout"):
        ServerSettings(timeout=0.0)
    with pytest.raises(ValueError, match="at least one"):
        ServerLM([])
