"""Merkle trees as in BEP 52. Plain recursion: clarity before speed."""

from .keys import sha256

BLOCK = 16384
ZERO = bytes(32)


def leaves_of(data):
    return [sha256(data[i : i + BLOCK]) for i in range(0, len(data), BLOCK)]


def sum_of(block):
    """The sum of a leaf in LEAVES."""
    a = b = 0
    for byte in block:
        a += byte
        b += a
    return a % 2**16 | b % 2**16 << 16


def fold(hashes, padding=ZERO):
    """The top over hashes; missing ones up to a power of two are `padding`."""
    if not hashes:
        return ZERO
    while len(hashes) > 1:
        if len(hashes) & (len(hashes) - 1):
            width = 1 << len(hashes).bit_length()
            hashes = hashes + [padding] * (width - len(hashes))
        hashes = [sha256(a, b) for a, b in zip(hashes[::2], hashes[1::2])]
    return hashes[0]


def root_of(data):
    return fold(leaves_of(data))


def zero_subtree(chunk_size):
    """The hash of one chunk made of missing leaves."""
    return fold([ZERO] * (chunk_size // BLOCK))


def layer_of(data, chunk_size):
    """What LAYER sends: a hash for each chunk."""
    if len(data) <= chunk_size:
        return [root_of(data)] if data else []
    per_chunk = chunk_size // BLOCK
    leaves = leaves_of(data)
    chunks = [leaves[i : i + per_chunk] for i in range(0, len(leaves), per_chunk)]
    chunks[-1] += [ZERO] * (per_chunk - len(chunks[-1]))
    return [fold(chunk) for chunk in chunks]


def root_of_layer(layer, size, chunk_size):
    """The root to which a layer folds; ValueError unless it has one hash for each chunk."""
    if len(layer) != -(-size // chunk_size):
        raise ValueError("layer does not fit the size")
    return fold(list(layer), zero_subtree(chunk_size))
