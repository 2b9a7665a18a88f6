"""faultgym: a gym for tool-using agents in which tools fail.

Importing it registers the environments with Gymnasium, without importing Gymnasium itself.

Example:
    >>> import gymnasium, faultgym
    >>> gymnasium.make("faultgym/Orders-v0", faults="mild").spec.id
    'faultgym/Orders-v0'
"""

from faultgym.envs.gym.registration import register_when_imported

__version__ = "0.1.0"

register_when_imported()
