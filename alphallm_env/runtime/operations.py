"""What an engine can run: a function of a batch, a batch that advances in steps, or an async function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
ItemIn = TypeVar("ItemIn", contravariant=True)
ResultOut = TypeVar("ResultOut", covariant=True)


class Job(Protocol[ResultOut]):
    """One item in a stepped batch."""

    def completion(self) -> ResultOut:
        """Returns the item's result, once it is done."""
        ...


class SteppedBatch(Protocol[ItemIn, ResultOut]):
    """A batch that items join and leave between steps, such as texts being decoded. Its length counts its items."""

    def __len__(self) -> int: ...

    def join(self, items: Sequence[ItemIn], /) -> Sequence[Job[ResultOut]]:
        """Adds items to the batch. Returns a job for each."""
        ...

    def step(self) -> Sequence[Job[ResultOut]]:
        """Advances every job. Returns those that are done, which leave the batch; after an error it is empty."""
        ...

    def leave(self, jobs: Sequence[Job[object]], /) -> None:
        """Removes jobs that are not done."""
        ...


class SteppedOperation(NamedTuple, Generic[Item, Result]):
    """Work that an engine does step by step: new items join between any two steps."""

    batch: SteppedBatch[Item, Result]


class AsyncOperation(NamedTuple, Generic[Item, Result]):
    """Work of a backend that batches by itself (a server, continuous batching): awaited at once, never queued."""

    function: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]


# A plain function blocks until its whole batch is done.
BatchFunction = Callable[[Sequence[Item]], Sequence[Result]]
Operation = BatchFunction[Item, Result] | SteppedOperation[Item, Result] | AsyncOperation[Item, Result]
