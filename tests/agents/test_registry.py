"""Policies that other packages add."""

from dataclasses import dataclass
from itertools import count

import pytest

from faultgym.agents.registry import POLICIES, check_policy, policy_named
from faultgym.core.errors import UserError
from faultgym.envs.messages.turn import Turn


@dataclass
class Yes:
    """Says yes."""

    name: str = "yes"

    def start(self, opening):
        return self

    def act(self, observation, tools):
        return Turn("Yes.")

    def describe(self):
        return {"name": self.name}


@dataclass
class Described(Yes):
    says: object = None

    def describe(self):
        return self.says() if callable(self.says) else self.says


class Idle(Yes):
    def start(self, opening):
        return object()


def test_a_policy_of_another_package_is_found_by_its_name():
    POLICIES.register("yes", Yes)
    try:
        assert policy_named("yes").name == "yes"
        with pytest.raises(UserError, match=r"there is no policy 'yess'; did you mean yes\?"):
            policy_named("yess")
    finally:
        POLICIES.unregister("yes")


numbers = count()


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (lambda size: Yes(), "made by calling it without arguments, but: missing a required argument: 'size'"),
        (object, "is a object without name, describe, start"),
        (Described("d", {"name": {1}}), r"what describe\(\) gives is not JSON"),
        (Described("d", {"name": "other"}), "a JSON object that holds its name, 'd'"),
        (Described("d", lambda: {"name": "d", "n": next(numbers)}), "something else each time"),
        (Idle(), r"start\(\) gave a object without act"),
    ],
)
def test_one_that_does_not_conform_is_refused_with_what_is_wrong(entry, words):
    with pytest.raises(UserError, match=words):
        check_policy("d", entry)


@pytest.mark.parametrize("name", POLICIES)
def test_the_scripted_policies_conform(name):
    check_policy(name, POLICIES[name])
