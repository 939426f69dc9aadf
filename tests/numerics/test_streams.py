"""One stream per (seed, stage, block): pinned raw words, no two alike."""

import itertools

import numpy as np
import pytest

from raresim.numerics.streams import BIT_GENERATOR, STREAM_VERSION, stream
from tests.statistical import assert_within_error

# Raw 64-bit words of SFC64; NumPy keeps those of a bit generator, not those of a distribution.
GOLDEN = {
    (0, 0, 0): [6436986145989974540, 15791485155117540672, 10798289216808124728, 1025074656175579623],
    (1, 0, 0): [1610521118297774213, 13040908920667559889, 6851350813437175296, 11456140406938014781],
    (1, 0, 1): [5743998672218647149, 5153313808061001631, 9277359208861500703, 17960022787221985376],
    (1, 1, 0): [3054032732075138480, 1125440918951068757, 17824486535143494093, 17315089462254308781],
    (20261124, 7, 123): [2789297795994539721, 2771388691243438804, 6811178189376087184, 14617373553865110183],
    (2**64 - 1, 3, 5): [13914271677036645374, 6402671265990206820, 3613277721579739687, 14177027991636485693],
}
MASK = 2**64 - 1


def words_by_hand(seed, stage, block, k):
    """SFC64 in plain integers, seeded by three words and a counter from 1; the first twelve words are left out."""
    words = [int(w) for w in np.random.SeedSequence(seed, spawn_key=(stage, block)).generate_state(3, np.uint64)]
    a, b, c, counter = *words, 1
    out = []
    for _ in range(12 + k):
        out.append((a + b + counter) & MASK)
        counter += 1
        a, b, c = b ^ (b >> 11), (c + (c << 3)) & MASK, (((c << 24 | c >> 40) & MASK) + out[-1]) & MASK
    return out[12:]


@pytest.mark.parametrize("key", GOLDEN)
def test_raw_words_are_those_of_stream_version_2(key):
    assert STREAM_VERSION == 2
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


@pytest.mark.statistical(effect=0.1, false_fail=1e-7, false_pass=1e-3)
def test_neighbouring_streams_are_uncorrelated(seed):
    """Correlations of 40 streams of 20,000 normals."""
    z = np.stack([stream(seed(91), stage, b).standard_normal(20_000) for stage in range(4) for b in range(10)])
    correlations = np.corrcoef(z)[np.triu_indices(40, 1)]
    assert_within_error(correlations, 0.0, 1 / np.sqrt(20_000))
