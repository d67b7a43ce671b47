"""What models declare: how they generate, whether they repeat themselves, what they cache."""

from __future__ import annotations

from collections.abc import Sequence

from alphallm_env.lm.base import Completion, GenerationRequest, clear_caches, generation, is_reproducible
from alphallm_env.mdp.options import SentenceRule
from alphallm_env.runtime.operations import AsyncOperation, SteppedOperation
from alphallm_env.types import StopReason

DONE = Completion("done", 1, 0.0, StopReason.END_OF_TEXT)


class Plain:
    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        return [DONE] * len(requests)


class Batch:
    def __len__(self) -> int:
        return 0

    def join(self, items: Sequence[GenerationRequest]) -> list[DoneJob]:
        return [DoneJob() for _ in items]

    def step(self) -> list[DoneJob]:
        return []

    def leave(self, jobs: Sequence[object]) -> None:
        pass


class DoneJob:
    def completion(self) -> Completion:
        return DONE


class Stepped(Plain):
    def __init__(self) -> None:
        self.stepped_batch = Batch()


class Awaited(Stepped):
    async def generate_async(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        return self.generate(requests)


class Declares:
    def __init__(self, is_reproducible: bool) -> None:
        self.is_reproducible = is_reproducible
        self.num_cleared = 0

    def clear_cache(self) -> None:
        self.num_cleared += 1


def test_a_model_generates_as_it_declares_that_it_can():
    plain, stepped, awaited = Plain(), Stepped(), Awaited()
    assert generation(plain) == plain.generate
    assert generation(stepped) == SteppedOperation(stepped.stepped_batch)
    assert generation(awaited) == AsyncOperation(awaited.generate_async)


def test_the_stepped_operations_of_one_batch_are_equal_even_while_it_is_empty():
    one, other = Stepped(), Stepped()
    assert generation(one) == generation(one)
    assert hash(generation(one)) == hash(generation(one))
    assert generation(one) != generation(other)


def test_who_declares_nothing_counts_as_not_reproducible():
    assert is_reproducible()
    assert is_reproducible(None, Declares(True))
    assert not is_reproducible(Declares(True), Declares(False))
    assert not is_reproducible(Declares(True), object())


def test_only_caches_are_cleared():
    part = Declares(True)
    clear_caches(None, object(), part)
    assert part.num_cleared == 1


def test_a_server_stops_at_the_trigger_the_stop_text_and_the_rest_of_one_that_was_begun():
    request = GenerationRequest("1 + 1?", 0, 9, SentenceRule(), stop_text="\nQ:")
    assert request.stop_strings("") == ["\n", "\nQ:"]
    assert request.stop_strings("2\n") == ["\n", "\nQ:", "Q:"]
    assert request.stop_strings("2\nQ") == ["\n", "\nQ:", ":"]
    assert GenerationRequest("1 + 1?", 0, 9).stop_strings("") == []  # to the end, of a model that ends its texts
