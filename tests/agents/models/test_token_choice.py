"""The next token: a function of logits, seed and position."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from faultgym.agents.models.sampling import Sampling
from faultgym.agents.models.token_choice import gumbel_noise, next_token

LOGITS = arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(-30, 30).map(lambda x: round(x, 3)))
SEEDS = st.integers(0, 2**63 - 1)
WARM = Sampling(temperature=1.0)


@given(SEEDS, st.integers(0, 5000), st.integers(1, 50))
def test_a_tokens_noise_follows_from_seed_position_and_its_own_id(seed, position, size):
    assert (gumbel_noise(seed, position, size) == gumbel_noise(seed, position, size + 7)[:size]).all()


def test_positions_and_seeds_have_noise_of_their_own():
    drawn = {gumbel_noise(seed, position, 1)[0] for seed in range(30) for position in range(30)}
    assert len(drawn) == 900


@given(LOGITS, SEEDS)
def test_what_comes_next_does_not_hang_on_the_order_in_which_others_are_likely(logits, seed):
    """Two tokens that are about equally likely may change places without a third token's being chosen instead."""
    token, _ = next_token(logits, WARM, seed, 3)
    others = np.where(np.arange(len(logits)) == token, logits, logits - 1e-7)
    assert next_token(others, WARM, seed, 3)[0] == token


@given(LOGITS, SEEDS)
def test_a_cut_to_one_and_no_temperature_take_the_likeliest(logits, seed):
    greedy = int(logits.argmax())
    for sampling in (
        Sampling(),
        Sampling(temperature=0.7, top_k=1),
        Sampling(temperature=2, top_p=1e-9),
    ):
        assert next_token(logits, sampling, seed, 0)[0] == greedy


def test_tokens_come_as_often_as_they_are_likely():
    chances = np.array([0.5, 0.3, 0.15, 0.05])
    found = np.bincount([next_token(np.log(chances), WARM, 11, n)[0] for n in range(4000)], minlength=4) / 4000
    assert np.abs(found - chances).max() < 0.03


@pytest.mark.parametrize(
    ("cut", "left"),
    [({"top_k": 2}, {0, 1}), ({"min_p": 0.4}, {0, 1}), ({"top_p": 0.9}, {0, 1, 2}), ({"top_p": 1.0}, {0, 1, 2, 3})],
)
def test_what_is_cut_never_comes(cut, left):
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05]))
    sampling = Sampling(temperature=1.0, **cut)
    assert {next_token(logits, sampling, 5, n)[0] for n in range(300)} == left


@given(LOGITS, SEEDS)
def test_the_logarithm_is_that_before_temperature_and_cuts(logits, seed):
    token, logprob = next_token(logits, Sampling(temperature=3.0, top_k=2), seed, 1)
    expected = logits[token] - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
    assert logprob == pytest.approx(expected, abs=1e-9)
