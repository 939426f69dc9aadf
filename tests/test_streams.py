"""One stream per (seed, stage, block): pinned raw words, no two alike."""

import itertools

import numpy as np
import pytest

from raresim.streams import BIT_GENERATOR, STREAM_VERSION, stream

# Raw 64-bit words of PCG64DXSM; NumPy keeps those of a bit generator, not those of a distribution.
GOLDEN = {
    (0, 0, 0): [1743643343257580573, 10881412122062322848, 5688352909778320663, 11182046096611202156],
    (1, 0, 0): [2725711297894471254, 13375353106855701477, 1573156760474750055, 17082317000056593115],
    (1, 0, 1): [8788442560105035376, 963439218613834802, 12513976946934028219, 10612776494936961252],
    (1, 1, 0): [5321862257445156233, 2364396275276750426, 523184839554062165, 3185401495146867165],
    (20261124, 7, 123): [6471202516044086407, 15377420640812832586, 9678635950226989568, 17303346282496888775],
    (2**64 - 1, 3, 5): [16397413358430786392, 11375570320738189983, 18373479421447087855, 17140356150366041543],
}
MASK = 2**64 - 1
MULTIPLIER = (2549297995355413924 << 64) + 4865540595714422341
CHEAP = 0xDA942042E4DD58B5


def words_by_hand(seed, stage, block, k):
    """PCG64DXSM in plain integers: O'Neill's generator with the cheap multiplier, seeded as `pcg_setseq_128`."""
    words = [int(w) for w in np.random.SeedSequence(seed, spawn_key=(stage, block)).generate_state(4, np.uint64)]
    start, sequence = (words[0] << 64) | words[1], (words[2] << 64) | words[3]
    increment = (sequence << 1 | 1) & (2**128 - 1)
    state = ((start + increment) * MULTIPLIER + increment) & (2**128 - 1)
    out = []
    for _ in range(k):
        high, low = state >> 64, (state & MASK) | 1
        high = ((high ^ (high >> 32)) * CHEAP) & MASK
        out.append(((high ^ (high >> 48)) * low) & MASK)
        state = (state * CHEAP + increment) & (2**128 - 1)
    return out


@pytest.mark.parametrize("key", GOLDEN)
def test_raw_words_are_those_of_stream_version_1(key):
    assert STREAM_VERSION == 1
    assert stream(*key).bit_generator.random_raw(4).tolist() == GOLDEN[key] == words_by_hand(*key, 4)


def test_bit_generator_is_the_one_that_results_name():
    assert type(stream(1, 2, 3).bit_generator).__name__ == BIT_GENERATOR


def test_no_two_streams_share_a_word():
    """4 words each of 4,000 streams: equal 64-bit words would come up by chance once in 10^11 runs."""
    keys = itertools.product((0, 1, 2**32, 2**64 - 1), range(10), range(100))
    words = np.concatenate([stream(*key).bit_generator.random_raw(4) for key in keys])
    assert len(np.unique(words)) == words.size


def test_a_stream_can_be_made_again_and_used_alone():
    first, again = stream(7, 1, 2), stream(7, 1, 2)
    stream(7, 1, 3).standard_normal(100)
    np.testing.assert_array_equal(first.standard_normal(100), again.standard_normal(100))


def test_neighbouring_streams_are_uncorrelated(seed):
    """Correlations of 40 streams of 20,000 normals: each within 6 standard errors, wrong once in a million runs."""
    z = np.stack([stream(seed(91), stage, b).standard_normal(20_000) for stage in range(4) for b in range(10)])
    correlations = np.corrcoef(z)[np.triu_indices(40, 1)]
    assert np.abs(correlations).max() * np.sqrt(20_000) < 6
