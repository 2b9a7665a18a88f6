"""Policies by name: the scripted ones, models as `openai:...`, and anybody's as `module:attribute`."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

from faultgym.agents.policy import Policy
from faultgym.core.errors import UserError

MODELS = {
    "openai": "faultgym.agents.models.openai",
    "vllm": "faultgym.agents.models.vllm",
    "hf": "faultgym.agents.models.transformers",
}
"""Prefix -> the module whose `policy_from` makes the policy of what stands after it; imported when asked for."""


def policy_named(name: str) -> Policy:
    """The scripted policy of that name, a model behind `openai:`, or what `module:attribute` names.

    The attribute is a policy, or something that makes one when called without arguments. Raises UserError
    with the nearest names, or with what is wrong with the module.
    """
    prefix, colon, rest = name.partition(":")
    if colon and prefix in MODELS:
        model: Policy = import_module(MODELS[prefix]).policy_from(rest)
        return model
    if colon:
        return _made(_attribute(name), name)
    from faultgym.agents.scripted import POLICIES

    found: Callable[[], Policy] | None = POLICIES.get(name)
    if found is None:
        near = difflib.get_close_matches(name, POLICIES, 3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"the policies are {', '.join(POLICIES)}"
        raise UserError(f"there is no policy {name!r}; {hint} (one of your own is named module:attribute)")
    return found()


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
            near = difflib.get_close_matches(part, dir(found), 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(f"policy {name!r}: {module} has no {attribute!r}{hint}")
        found = getattr(found, part)
    return found


def _made(found: Any, name: str) -> Policy:
    """The policy itself, or the one that a class or function gives."""
    if (isinstance(found, type) or not hasattr(found, "start")) and callable(found):
        try:
            inspect.signature(found).bind()
        except (TypeError, ValueError) as error:
            raise UserError(f"policy {name!r} is made by calling it without arguments, but: {error}") from error
        found = found()
    lacks = [part for part in ("name", "start", "describe") if not hasattr(found, part)]
    if lacks:
        raise UserError(f"policy {name!r} is a {type(found).__name__} without {', '.join(lacks)}")
    policy: Policy = found
    return policy
