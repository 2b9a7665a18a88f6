"""Policies by name: the scripted ones, models as `openai:...`, other packages', and anybody's as `module:attribute`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

import orjson

from faultgym.agents.policy import Opening, Policy
from faultgym.agents.scripted import POLICIES as SCRIPTED
from faultgym.core.errors import UserError
from faultgym.core.registry import Registry
from faultgym.core.suggest import did_you_mean
from faultgym.envs.messages.turn import Message

MODELS = {
    "openai": "faultgym.agents.models.openai",
    "vllm": "faultgym.agents.models.vllm",
    "hf": "faultgym.agents.models.transformers",
}
"""Prefix -> the module whose `policy_from` makes the policy of what stands after it; imported when asked for."""


def policy_named(name: str) -> Policy:
    """The policy of that name, a model behind `openai:`, or what `module:attribute` names.

    Args:
        name: A key of `POLICIES`, a prefix of `MODELS` with what its module makes of the rest, or `module:attribute`:
            a policy, or something that makes one when it is called without arguments.

    Raises:
        UserError: No policy has that name (the message gives the nearest names), the module cannot be imported, or what
            the module holds is no policy.

    Example:
        >>> policy_named("expert").describe()
        {'name': 'expert', 'scripted': True}
    """
    prefix, colon, rest = name.partition(":")
    if colon and prefix in MODELS:
        model: Policy = import_module(MODELS[prefix]).policy_from(rest)
        return model
    if colon:
        return _made(_attribute(name), name)
    if name not in POLICIES:
        hint = did_you_mean(name, POLICIES, 3) or f"the policies are {', '.join(POLICIES)}"
        raise UserError(f"there is no policy {name!r}; {hint} (one of your own is named module:attribute)")
    return _made(POLICIES[name], name)


def check_policy(name: str, entry: Policy | Callable[[], Policy]) -> None:
    """The conformance check for a policy of another package; plays nothing and loads no model.

    Args:
        name: What the policy is registered as; stands in the messages.
        entry: The policy, or a class or function that makes it without arguments.

    Raises:
        UserError: Making the policy takes arguments; the policy lacks `name`, `describe`, or `start` (a privileged one:
            `start_with`); its description is not JSON, lacks its name, or changes between two calls; or its actor
            cannot act.
    """
    policy = _made(entry, name)
    try:
        said = [orjson.loads(orjson.dumps(policy.describe())) for _ in range(2)]
    except TypeError as error:
        raise UserError(f"policy {name!r}: what describe() gives is not JSON ({error})") from error
    if not isinstance(said[0], dict) or said[0].get("name") != policy.name:
        raise UserError(f"policy {name!r}: describe() has to be a JSON object that holds its name, {policy.name!r}")
    if said[0] != said[1]:
        raise UserError(f"policy {name!r}: describe() says something else each time, and episodes are named by it")
    if not hasattr(policy, "start_with"):
        actor = policy.start(Opening((Message("system", ""), Message("user", "")), (), 0))
        if not callable(getattr(actor, "act", None)):
            raise UserError(f"policy {name!r}: start() gave a {type(actor).__name__} without act(observation, tools)")


POLICIES: Registry[Policy | Callable[[], Policy]] = Registry("policy", "faultgym.policies", check=check_policy)
"""Name -> the policy, or what makes it. Other packages add theirs in the entry-point group `faultgym.policies`."""
for _name, _make in SCRIPTED.items():
    POLICIES.add(_name, _make)


def _attribute(name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        found: Any = import_module(module)
    except ImportError as error:
        raise UserError(f"policy {name!r}: the module {module!r} cannot be imported ({error})") from error
    except ValueError as error:
        raise UserError(f"policy {name!r}: {module!r} is not the name of a module") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            hint = did_you_mean(part, dir(found))
            raise UserError(f"policy {name!r}: {module} has no {attribute!r}{f'; {hint}' if hint else ''}")
        found = getattr(found, part)
    return found


def _made(found: Any, name: str) -> Policy:
    """The policy itself, or the one that a class or function gives."""
    if (isinstance(found, type) or not _starts(found)) and callable(found):
        try:
            inspect.signature(found).bind()
        except (TypeError, ValueError) as error:
            raise UserError(f"policy {name!r} is made by calling it without arguments, but: {error}") from error
        found = found()
    lacks = [part for part in ("name", "describe") if not hasattr(found, part)]
    lacks += [] if _starts(found) else ["start"]
    if lacks:
        raise UserError(f"policy {name!r} is a {type(found).__name__} without {', '.join(lacks)}")
    policy: Policy = found
    return policy


def _starts(found: Any) -> bool:
    return hasattr(found, "start") or hasattr(found, "start_with")
