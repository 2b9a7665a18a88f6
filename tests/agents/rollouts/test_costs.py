"""Budgets of whole runs, and the table of prices."""

import orjson
import pytest
from helpers.served import beside
from helpers.stub_openai import http, librarian
from hypothesis import given
from hypothesis import strategies as st

from faultgym.agents.rollouts.costs import Prices, RunBudget, prices_of
from faultgym.agents.storage.store import RunDirectory
from faultgym.cli.main import main
from faultgym.core.errors import UserError
from faultgym.envs.messages.usage import Usage

COUNTS = st.integers(0, 10**9)
USAGES = st.tuples(COUNTS, COUNTS, COUNTS).map(lambda n: Usage(max(n[:2]), min(n[:2]), n[2]))


@given(USAGES, USAGES)
def test_what_two_runs_cost_together_is_what_each_costs(one, other):
    prices = Prices(3.0, 3.0, 15.0)
    assert prices.cost(one + other) == pytest.approx(prices.cost(one) + prices.cost(other), rel=1e-9)
    assert (one + other).total == one.total + other.total


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "is no JSON object of models"),
        ('{"n": {"prompt": 1, "completion": 2}}', "has no model 'm'"),
        ('{"m": {"prompt": 1}}', "a row has prompt and completion"),
        ('{"m": {"prompt": 1, "completion": -2}}', "completion is a price of a million tokens, not -2"),
        ('{"m": {"prompt": 1, "completion": 2, "cache": 0}}', "and nothing else"),
    ],
)
def test_a_table_that_is_none_is_refused_by_name(tmp_path, table, words):
    (tmp_path / "prices.json").write_text(table)
    with pytest.raises(UserError, match=words):
        prices_of(tmp_path / "prices.json", "m")
    with pytest.raises(UserError, match="cannot be read"):
        prices_of(tmp_path / "gone.json", "m")


def test_tokens_from_a_cache_cost_what_others_do_unless_the_table_says_otherwise(tmp_path):
    (tmp_path / "prices.json").write_text('{"m": {"prompt": 2, "completion": 8}}')
    assert prices_of(tmp_path / "prices.json", "m") == Prices(2.0, 2.0, 8.0)


@given(USAGES, st.integers(1, 10**9))
def test_a_budget_is_reached_when_as_much_was_used(usage, most):
    assert bool(RunBudget(tokens=most).reached(usage)) == (usage.total >= most)
    assert RunBudget().reached(usage) == ""


def counted(request):
    reply = orjson.loads(librarian(request).partition(b"\r\n\r\n")[2])
    return http(orjson.dumps({**reply, "usage": {"prompt_tokens": 1000, "completion_tokens": 100}}))


def rolled(tmp_path, capsys, *more):
    """`faultgym rollout` with these options, against a server that counts 1,100 tokens a turn."""

    with beside(counted) as stub:
        arguments = ["rollout", "--suite", "bookshelf", "--policy", f"openai:m@{stub.url}", "--answers", "text"]
        code = main([*arguments, "--faults", "clean", "--out", str(tmp_path / "run"), "--in-flight", "1", *more])
    return code, len(stub.requests), capsys.readouterr()


def test_a_run_stops_when_its_tokens_are_used_up_and_goes_on_with_more(players, tmp_path, capsys):
    code, asked, shown = rolled(tmp_path, capsys, "--max-total-tokens", "4000")
    assert code == 3
    assert "the run's budget is used up: " in shown.err
    assert 4 <= asked <= 8
    stored = len(list(RunDirectory.open(tmp_path / "run").records()))
    code, asked, shown = rolled(tmp_path, capsys, "--resume", "--max-total-tokens", "4000")
    assert (code, asked) == (2, 0)
    assert "used up already" in shown.err
    code, asked, shown = rolled(tmp_path, capsys, "--resume")
    assert code == 0
    run = list(RunDirectory.open(tmp_path / "run").records())
    turns = sum(len(record["steps"]) for record in run)
    assert len(run) > stored
    assert f"tokens: {turns * 1000:,} prompt (0 of them cached), {turns * 100:,} completion" in shown.out


def test_the_cost_of_a_run_is_told_and_may_end_it(players, tmp_path, capsys):
    prices = tmp_path / "prices.json"
    prices.write_text('{"m": {"prompt": 1000, "completion": 10000}}')
    code, _, shown = rolled(tmp_path, capsys, "--max-cost", "1")
    assert code == 2
    assert "--max-cost wants --prices" in shown.err
    code, _, shown = rolled(tmp_path, capsys, "--prices", str(prices), "--max-cost", "5")
    assert code == 3
    code, _, shown = rolled(tmp_path, capsys, "--resume", "--prices", str(prices))
    assert code == 0
    turns = sum(len(record["steps"]) for record in RunDirectory.open(tmp_path / "run").records())
    assert f"; cost {turns * 2:.4g}" in shown.out
