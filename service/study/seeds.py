"""Seeds of trials."""

import hashlib


def trial_seed(seed: int, number: int, repeat: int = 0) -> int:
    """The seed of a trial: 48 bits, which every JSON reader can represent exactly."""
    digest = hashlib.blake2b(f"{seed}/{number}/{repeat}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big")
