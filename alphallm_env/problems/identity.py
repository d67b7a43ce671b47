"""Ids that say which problem is meant, and nothing that its question does not."""

from __future__ import annotations

import hashlib


def opaque_id(prefix: str, *groups: object, question: str) -> str:
    """Returns `prefix/…/token`: equal for equal arguments in every process, and made from the question alone.

    A planner sees the id in states, snapshots and `info`. One that held the seed or the numbers that a problem was
    generated from would let it generate the answer. `groups`, as templates, are shown as tokens too, so that problems
    of one group have ids that differ after their last `/` only.

    >>> opaque_id("sums", 17, question="How much is 2 + 3?")
    'sums/5acd33/d21e10cb389be37b'
    """
    tokens = [_token(f"{prefix}/{group}", 3) for group in groups]
    return "/".join([prefix, *tokens, _token(question, 8)])


def _token(text: str, num_bytes: int) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=num_bytes).hexdigest()
