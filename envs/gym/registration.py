"""Makes the built-in environments known to Gymnasium. Imports no suite, no engine: names are enough.

Gymnasium itself is not imported either, for that takes longer than all else that `import faultgym` does. Where it is
imported later, the environments are registered at the end of that import.

    gymnasium.make("faultgym:faultgym/Orders-v0", faults="rough")

Vector environments give and take tuples. An episode ends with its verdict, so it is best reset by
the caller, and there are no arrays for processes to share:

    gymnasium.make_vec(
        "faultgym:faultgym/Orders-v0", num_envs=8, vectorization_mode="async",
        vector_kwargs={"shared_memory": False, "autoreset_mode": AutoresetMode.DISABLED},
    )
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from faultgym.envs.defaults import MAX_TURNS

INTENSITIES = ("clean", "mild", "rough", "hostile", "outage")
"""The fault presets that registered environments exist for; the first is the one without a name of its own."""
SUITES = ("orders", "incidents")


def environment_ids() -> tuple[str, ...]:
    """The ids of all registered environments, suite by suite, the one without faults first.

    Example:
        >>> environment_ids()[:2]
        ('faultgym/Orders-v0', 'faultgym/Orders-Mild-v0')
    """
    return tuple(_id(suite, faults) for suite in SUITES for faults in INTENSITIES)


def register_when_imported() -> None:
    """Register the environments now if Gymnasium is imported, else when it is; `import faultgym` calls this."""
    if "gymnasium" in sys.modules:
        register_environments()
    elif not any(isinstance(finder, _RegisterAfterwards) for finder in sys.meta_path):
        sys.meta_path.insert(0, _RegisterAfterwards())


def register_environments() -> None:
    """Register the environments with Gymnasium, which is imported for it. A second call changes nothing.

    The limit of turns is a wrapper, so that `env.unwrapped` is without a limit. Gymnasium's own order
    check is left out: `ToolEnv` raises `ResetNeeded` itself.
    """
    import gymnasium as gym  # here: at the top it would make `import faultgym` four times as long
    from gymnasium.envs.registration import WrapperSpec

    limit = WrapperSpec("TurnLimit", "faultgym.envs.gym.wrappers:TurnLimit", {"max_turns": MAX_TURNS})
    for suite in SUITES:
        for faults in INTENSITIES:
            name = _id(suite, faults)
            if name not in gym.registry:
                gym.register(
                    name,
                    entry_point="faultgym.envs.gym.env:ToolEnv",
                    kwargs={"suite": suite, "faults": faults},
                    order_enforce=False,
                    additional_wrappers=(limit,),
                )


def _id(suite: str, faults: str) -> str:
    intensity = "" if faults == INTENSITIES[0] else f"-{faults.capitalize()}"
    return f"faultgym/{suite.capitalize()}{intensity}-v0"


class _RegisterAfterwards:
    """Finds Gymnasium as the import system does, and has the environments registered once it was executed."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Called by the import system for every module that is new; answers for one, and once."""
        if name != "gymnasium":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                execute(module)
                register_environments()

            spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec
