import asyncio
import threading

import pytest

from alphallm_env.lm.base import Completion, GenerationRequest, LabelProbs
from alphallm_env.runtime.counting import count_generated, count_read, count_scored
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Meter, Role, Usage, Work, current_meter, metering
from alphallm_env.testing.scripted import ScriptedLM
from alphallm_env.types import StopReason


def test_usage_adds_up_by_field():
    total = Usage(1, 2, 3, 4, 5, 6, 7.0) + Usage(10, 20, 30, 40, 50, 60, 70.0)
    assert total == Usage(11, 22, 33, 44, 55, 66, 77.0)


def test_tokens_are_those_generated_or_scored_each_counted_once():
    usage = Usage(policy_tokens=5, rollout_tokens=7, critic_tokens=11, rejected_tokens=2, prompt_tokens=100)
    assert usage.tokens == 23


def test_a_role_is_charged_for_what_it_wrote_and_a_critic_for_what_it_read_as_well():
    meter = Meter()
    meter.generated(Role.POLICY, 3, prefilled=10)
    meter.generated(Role.ROLLOUT, 4, prefilled=15, saved=5)
    meter.generated(Role.CRITIC, 5, prefilled=30)
    meter.scored(6, saved=2)
    assert meter.usage == Usage(
        policy_tokens=3, rollout_tokens=4, critic_tokens=41, prompt_tokens=30, computed_tokens=4, unsized_tokens=4
    )
    assert meter.usage.policy == Work(generated=3, prefilled=10)
    assert meter.usage.rollout == Work(generated=4, prefilled=15, saved=5)
    assert meter.usage.critic == Work(generated=5, prefilled=34, saved=2)


def test_work_is_added_up_and_no_part_of_what_is_compared():
    meter = Meter()
    for role in Role:
        meter.worked(role, Work(1, 2, 3, 0.5, 0.25))
        meter.worked(role, Work(1, 2, 3, 0.5, 0.25))
    assert [meter.usage.policy, meter.usage.rollout, meter.usage.critic] == [Work(2, 4, 6, 1.0, 0.5)] * 3
    assert meter.usage == Usage()


def test_the_innermost_meter_counts_and_so_do_those_around_it():
    with metering(Meter()) as outer:
        with metering(Meter()) as inner:
            current_meter().scored(1)
        current_meter().scored(2)
        inner.scored(8)  # no longer inside
    current_meter().scored(4)  # nobody's
    assert (inner.usage.tokens, outer.usage.tokens) == (9, 3)


def test_a_meter_that_goes_on_brings_only_what_is_new():
    with metering(Meter()) as kept:
        current_meter().scored(1)
    with metering(Meter()) as outer, metering(kept):
        current_meter().scored(2)
    assert (kept.usage.tokens, outer.usage.tokens) == (3, 2)


def test_a_meter_in_use_cannot_be_used_again():
    with metering(Meter()) as meter:  # noqa: SIM117
        with pytest.raises(RuntimeError, match="counts already"), metering(meter):
            pass


def test_searches_beside_each_other_are_counted_apart():
    async def search(tokens: int) -> int:
        with metering(Meter()) as meter:
            for _ in range(3):
                current_meter().scored(tokens)
                await asyncio.sleep(0)
            return meter.usage.tokens

    async def both() -> list[int]:
        return await asyncio.gather(search(1), search(10))

    assert asyncio.run(both()) == [3, 30]


def test_a_threads_meter_follows_its_request_to_the_engine():
    async def work(tokens: int) -> None:
        current_meter().scored(tokens)

    def search(tokens: int) -> None:
        with metering(Meter()) as meter:
            engine.run(work(tokens))
            found[tokens] = meter.usage.tokens

    found: dict[int, int] = {}
    with Engine() as engine:
        threads = [threading.Thread(target=search, args=(tokens,)) for tokens in (1, 2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {1: 1, 2: 2, 3: 3}


def test_results_are_counted_by_what_they_say_of_their_tokens():
    written = [Completion("a", 3, 0.0, StopReason.RULE, 10, 2), Completion("b", 4, 0.0, StopReason.RULE, 1, 11)]
    read = [LabelProbs((0.5, 0.5), 6, 2), LabelProbs((0.5, 0.5), 5)]
    asked = [GenerationRequest("ask", seed, 9) for seed in (0, 1)]
    with metering(Meter()) as meter:
        count_generated(Role.ROLLOUT, ScriptedLM({}), asked, written)
        count_scored(ScriptedLM({}, name="judge"), ["ask", "asked"], read)
        count_read(Role.POLICY, ScriptedLM({}, name="judge"), ["asks", "asked"], read)
    # Twelve tokens of one prompt, and seven written; six and five; six, and a text that is known.
    computed = 12 + 7 + 6 + 5 + 6
    assert meter.usage == Usage(
        rollout_tokens=7, prompt_tokens=24, critic_tokens=11, computed_tokens=computed, flops=2 * computed
    )
    assert meter.usage.rollout == Work(generated=7, prefilled=11, saved=13)
    assert meter.usage.critic == meter.usage.policy == Work(prefilled=9, saved=2)
