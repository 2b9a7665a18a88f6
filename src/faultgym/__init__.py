"""faultgym: a gym for tool-using agents in which tools fail."""

from faultgym.envs.gym.registration import register_environments

__version__ = "0.1.0"

register_environments()
