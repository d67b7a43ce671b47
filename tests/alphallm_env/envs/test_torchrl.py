"""TorchRL trains on the Choice environment through its own `GymWrapper`. Skipped where it is not installed."""

import gymnasium as gym
import pytest
import torch

import alphallm_env  # noqa: F401

envs = pytest.importorskip("torchrl.envs", reason="needs torchrl", exc_type=ImportError)
NUM_STEPS = 3  # of the optimizer


@pytest.fixture
def wrapped():
    choice = gym.make("AlphaLLM/GSMSymbolicChoice-v1", split="train", limit=2)
    env = envs.GymWrapper(choice, categorical_action_encoding=True)
    yield env
    env.close()


def chooser(num_options):
    """Returns an actor that sees log-probabilities, PRM scores and values of the options on offer."""
    from tensordict.nn import TensorDictModule, TensorDictSequential
    from torchrl.modules import MaskedCategorical, ProbabilisticActor

    class Stacked(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(3 * num_options, num_options)

        def forward(self, *columns):
            return self.linear(torch.cat(columns, -1))

    logits = TensorDictModule(Stacked(), in_keys=["log_prob", "prm", "value"], out_keys=["logits"])
    mask = TensorDictModule(lambda allowed: allowed.bool(), in_keys=["action_mask"], out_keys=["mask"])
    return ProbabilisticActor(
        TensorDictSequential(logits, mask),
        in_keys=["logits", "mask"],
        distribution_class=MaskedCategorical,
        return_log_prob=True,
        log_prob_key="action_log_prob",
    )


def test_the_specs_hold(wrapped):
    envs.utils.check_env_specs(wrapped)


def test_reinforce_trains_a_few_steps(wrapped):
    torch.manual_seed(0)
    wrapped.set_seed(0)
    actor = chooser(wrapped.action_spec.space.n)
    optimizer = torch.optim.Adam(actor.parameters(), lr=0.1)
    before = [weight.clone() for weight in actor.parameters()]
    for _ in range(NUM_STEPS):
        episode = wrapped.rollout(20, actor)
        assert episode["next", "done"][-1].item()
        assert episode["mask"].gather(-1, episode["action"][:, None]).all()
        returns = episode["next", "reward"].flip(0).cumsum(0).flip(0)[:, 0]
        log_probs = actor.get_dist(episode).log_prob(episode["action"])
        loss = -(returns * log_probs).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert any(not torch.equal(old, new) for old, new in zip(before, actor.parameters(), strict=True))
    assert all(weight.isfinite().all() for weight in actor.parameters())
