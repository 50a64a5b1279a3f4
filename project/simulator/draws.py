"""Random numbers that depend only on a key, never on what was drawn before."""

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def digest(*key: object) -> bytes:
    return hashlib.blake2b("\x1f".join(map(str, key)).encode(), digest_size=16).digest()


class Draws(random.Random):
    """A generator keyed by values. Only `random()` is relied on, which Python promises to keep reproducible."""

    def __init__(self, *key: object) -> None:
        super().__init__(int.from_bytes(digest(*key)))

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.random()

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self.random() * (high - low + 1))

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.random() * len(options))]
