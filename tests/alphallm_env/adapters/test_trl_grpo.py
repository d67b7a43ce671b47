"""TRL's door: the tools by themselves, and some steps of GRPO on the tiny policy, whose lines are calls."""

import gymnasium as gym
import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import get_json_schema
from trl import GRPOConfig, GRPOTrainer

from alphallm_env import MathReasoningEnv, Rules
from alphallm_env.adapters.trl_grpo import (
    ToolEnvironment,
    tool_environments,
    training_rows,
    write_lines_as_calls,
)
from alphallm_env.envs.wrappers import TokenBudget
from alphallm_env.errors import CriticError
from alphallm_env.lm.shipped import TINY_POLICY


@pytest.fixture
def tools(make_env):
    environment = tool_environments(make_env)()
    environment.reset(problem_id="p/one", prompt="ignored")
    return environment


def test_an_episode_by_tool_calls_earns_what_its_steps_pay(make_env):
    rules = Rules(gamma=0.5)
    env, tools = make_env(rules=rules), ToolEnvironment(make_env(rules=rules))
    question, _ = env.reset(options={"problem_id": "p/one"})
    assert tools.reset(problem_id="p/one") == question
    rewards = [env.step(text)[1] for text in ("2 + 3\n", "is five\n", "#### 5\n")]
    assert [tools.choose_option("2 + 3\n"), tools.choose_option("is five\n")] == ["go on", "go on"]
    assert tools.get_reward() == pytest.approx(rewards[0] + 0.5 * rewards[1])  # also before the end
    assert tools.submit_answer(" 5 ") == "finished: answered"
    assert tools.get_reward() == pytest.approx(rewards[0] + 0.5 * rewards[1] + 0.25 * rewards[2])
    assert tools.reset(problem_id="p/one") == question
    assert tools.get_reward() == 0.0


def test_a_last_step_without_an_answer_is_a_dead_end(tools):
    assert tools.choose_option("2 + 3 = 5", is_last=True) == "finished: dead end"
    assert tools.get_reward() == pytest.approx(0.0)
    tools.reset(problem_id="p/one")
    assert tools.choose_option("#### 5", is_last=True) == "finished: answered"


def test_an_answer_in_words_is_an_answer(tools):
    assert tools.submit_answer("five apples") == "finished: answered"


@pytest.mark.parametrize("answer", ["", " \n", "4\n5", 5, None])
def test_an_answer_must_be_one_line(tools, answer):
    with pytest.raises(ValueError, match="answer must be one line of text, got"):
        tools.submit_answer(answer)
    assert tools.submit_answer("5") == "finished: answered"


def test_misuse_tells_the_model_and_costs_nothing(tools):
    with pytest.raises(ValueError, match="action must be in"):
        tools.choose_option(5)
    tools.submit_answer("5")
    reward = tools.get_reward()
    with pytest.raises(ValueError, match="the solution is finished"):
        tools.choose_option("more\n")
    assert tools.get_reward() == reward


def test_a_cut_by_a_wrapper_is_the_end_too(make_env):
    tools = tool_environments(lambda: TokenBudget(make_env(reward="verifier"), 3))()
    tools.reset(problem_id="p/one")
    assert tools.choose_option("2 + 3\n") == "finished: out of tokens"
    with pytest.raises(ValueError, match="the solution is finished"):
        tools.choose_option("more\n")


def test_a_failing_critic_is_not_hidden(make_env):
    env = make_env()
    tools = ToolEnvironment(env)
    tools.reset(problem_id="p/one")

    async def fail(states):
        raise CriticError("no label")

    env.simulator.critics.prm.evaluate = fail
    with pytest.raises(CriticError):
        tools.choose_option("2 + 3\n")
    with pytest.raises(RuntimeError, match="a step of the environment failed: no label"):
        tools.get_reward()


def test_rows_name_problems_and_hold_no_answer(make_env, problems):
    rows = training_rows(make_env().problem_ids, "Solve this: ")
    assert [row["problem_id"] for row in rows] == ["p/one", "p/two", "p/three"]
    assert not any(problem.answer in str(rows) for problem in problems)
    with pytest.raises(ValueError, match="must have a problem_id"):
        ToolEnvironment(make_env()).reset(prompt=rows[0]["prompt"])


def test_the_tools_have_schemas(tools):
    schemas = [get_json_schema(tool)["function"] for tool in (tools.choose_option, tools.submit_answer)]
    assert [(schema["name"], list(schema["parameters"]["properties"])) for schema in schemas] == [
        ("choose_option", ["text", "is_last"]),
        ("submit_answer", ["answer"]),
    ]


def test_only_the_tiny_policy_writes_lines_as_calls():
    tokenizer = AutoTokenizer.from_pretrained(TINY_POLICY)
    tokenizer.eos_token = "<|pad|>"
    with pytest.raises(ValueError, match=r"ends with '<\|end\|>', got '<\|pad\|>'"):
        write_lines_as_calls(AutoModelForCausalLM.from_pretrained(TINY_POLICY), tokenizer)


class Watched(MathReasoningEnv):
    """Notes what every episode came to."""

    episodes: list[tuple[str, str, float]] = []  # noqa: RUF012

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        if terminated or truncated:
            self.episodes.append((info["problem_id"], self.clone_state().text, reward))
        return observation, reward, terminated, truncated, info


@pytest.mark.filterwarnings("ignore:You are using 'environment_factory'")
def test_grpo_trains_the_tiny_policy(tmp_path):
    model = AutoModelForCausalLM.from_pretrained(TINY_POLICY, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(TINY_POLICY)
    write_lines_as_calls(model, tokenizer)
    before = model.model.embed_tokens.weight.detach().clone()
    Watched.episodes.clear()
    ids = gym.make("AlphaLLM/GSMSymbolic-v1", reward="verifier", limit=8).unwrapped.problem_ids
    trainer = GRPOTrainer(
        model,
        args=GRPOConfig(
            str(tmp_path), max_steps=3, per_device_train_batch_size=8, num_generations=4, max_completion_length=100,
            learning_rate=1e-3, logging_steps=1, report_to="none", save_strategy="no", use_cpu=True, bf16=False,
            seed=0, disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list([dict(row) for row in training_rows(ids, instruction="")]),
        processing_class=tokenizer,
        environment_factory=tool_environments(lambda: Watched(limit=8, reward="verifier", max_tokens=100)),
    )  # fmt: skip
    trainer.train()
    logs = [entry for entry in trainer.state.log_history if "reward" in entry]
    assert [entry["tools/failure_frequency"] for entry in logs] == [0.0] * 3
    assert all(entry["tools/call_frequency"] >= 1.0 for entry in logs)
    assert any(entry["reward_std"] > 0 for entry in logs)
    # What TRL trained on is what the episodes in the environment paid.
    played = Watched.episodes
    assert {problem_id for problem_id, _, _ in played} <= set(ids)
    assert len({text.count("\n") for _, text, _ in played}) > 1  # solutions of different lengths
    assert sum(entry["reward"] * 8 for entry in logs) == pytest.approx(sum(reward for _, _, reward in played))
    assert 0 < sum(reward for _, _, reward in played) < 24
    assert not torch.equal(model.model.embed_tokens.weight, before)
