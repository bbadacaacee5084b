"""Keyed hashes of session cookies, which tell visitors apart and nothing else."""

import hashlib
import secrets
import sys
from collections.abc import Callable
from typing import Any

#: What a visitor is known by, as the store wants it: a number or bytes, and never false.
Key = Any
Hash = Callable[[bytes], Key]

#: Whether Python's own hash of bytes is a keyed one, of 64 bits.
IS_SIPHASH = sys.hash_info.algorithm.startswith("siphash") and sys.hash_info.width == 64


def hashed_here() -> Hash:
    """A hash that means nothing outside this process, with a key of its own.

    Python's own hash of bytes is a keyed one (SipHash, https://www.aumasson.jp/siphash/siphash.pdf), and takes a
    quarter of the time. As an environment may give its key away (`PYTHONHASHSEED`), ours is added.
    """
    key = secrets.token_bytes(32)
    if not IS_SIPHASH:
        return hashed_with(key)

    def hash_here(cookie: bytes) -> int:
        return hash(key + cookie) or 1

    return hash_here


def hashed_with(key: bytes) -> Hash:
    """A hash (BLAKE2b, RFC 7693) that is the same in every process that has the key."""
    keyed = hashlib.blake2b(key=key, digest_size=16)

    def hash_with(cookie: bytes) -> bytes:
        copied = keyed.copy()
        copied.update(cookie)
        return copied.digest()

    return hash_with
