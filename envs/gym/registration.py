"""Makes the built-in environments known to Gymnasium. Imports no suite, no engine: names are enough.

    gymnasium.make("faultgym:faultgym/Orders-v0", faults="rough")

Vector environments give and take tuples. An episode ends with its verdict, so it is best reset by
whoever runs it, and there are no arrays for processes to share:

    gymnasium.make_vec(
        "faultgym:faultgym/Orders-v0", num_envs=8, vectorization_mode="async",
        vector_kwargs={"shared_memory": False, "autoreset_mode": AutoresetMode.DISABLED},
    )
"""

from __future__ import annotations

import gymnasium as gym
from gymnasium.envs.registration import WrapperSpec

MAX_TURNS = 30
"""The turn limit of every registered environment."""
INTENSITIES = ("clean", "mild", "rough", "hostile", "outage")
"""The fault presets that registered environments exist for; the first is the one without a name of its own."""
SUITES = ("orders", "incidents")


def environment_ids() -> tuple[str, ...]:
    """The ids of all registered environments: `faultgym/Orders-v0`, `faultgym/Orders-Rough-v0`, ..."""
    return tuple(_id(suite, faults) for suite in SUITES for faults in INTENSITIES)


def register_environments() -> None:
    """Register them; `import faultgym` does it. A second call changes nothing.

    The limit of turns is a wrapper, so that `env.unwrapped` is without one. Gymnasium's own order
    check is left out: `ToolEnv` raises `ResetNeeded` itself.
    """
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
