"""The environments are in Gymnasium's registry whichever of the two packages is imported first."""

import subprocess
import sys

import pytest

ORDERS = {
    "faultgym first": "import faultgym, gymnasium",
    "gymnasium first": "import gymnasium, faultgym",
    "by the module in the name": "import gymnasium",
    "the registration itself": "import faultgym.envs.gym.registration, gymnasium",
    "the environment's class": "import faultgym.envs.gym.env, gymnasium",
}


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("first", ORDERS.values(), ids=ORDERS.keys())
def test_gymnasium_makes_the_environments(first):
    assert "Orders-v0" in python(f"{first}; print(gymnasium.make('faultgym:faultgym/Orders-v0').spec.id)")


def test_importing_faultgym_and_its_environments_imports_no_gymnasium():
    loaded = python("import sys, faultgym.envs; print(*sys.modules)").split()
    assert not {"gymnasium", "numpy", "orjson", "pydantic", "typer", "rich"} & set(loaded)
