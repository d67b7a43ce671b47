"""Plays an episode and a search with what a plain installation gives: no extras, the package as installed.

make core
"""

import importlib.util
from pathlib import Path

import gymnasium as gym

import agents
import alphallm_env

EXTRAS = ("openai", "sb3_contrib", "pytest", "hypothesis", "mkdocs", "fastapi", "vllm", "ray")


def main() -> None:
    """Raises where something is missing that the core promises."""
    package = Path(alphallm_env.__file__)
    assert "site-packages" in package.parts, f"expected the package as installed, got {package}"
    found = [name for name in EXTRAS if importlib.util.find_spec(name)]
    assert not found, f"expected an installation without extras, got {', '.join(found)}"
    env = gym.make("AlphaLLM/GSMSymbolic-v1")
    env.reset(seed=0)
    plan = agents.eta_mcts().plan(env, agents.Budget(tokens=1_000), env.unwrapped.np_random)
    terminated = truncated = False
    for option in plan.options:
        _, reward, terminated, truncated, info = env.step(option)
    assert terminated or truncated, "expected the plan to end the episode"
    print(f"core: an episode of {info['depth']} options, last reward {reward:.2f}, {plan.usage.tokens} tokens searched")


if __name__ == "__main__":
    main()
