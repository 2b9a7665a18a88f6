"""A suite's service over a real socket: the same routes, pipeline and faults as in process.

`ServiceApp` is what agents reach: one world for each session, under a base URL that nobody can guess. `ControlApp` is
what whoever runs them reaches, with a key: it opens sessions and sees what happened in them. `Ports` puts each on a
port of its own. All three are ASGI applications; `faultgym serve` runs them on uvicorn.
"""

from faultgym.envs.serving.control import ControlApp, check_key, new_key
from faultgym.envs.serving.ports import Ports
from faultgym.envs.serving.service import ServiceApp
from faultgym.envs.serving.sessions import MAX_SESSIONS, SessionError

__all__ = ["MAX_SESSIONS", "ControlApp", "Ports", "ServiceApp", "SessionError", "check_key", "new_key"]
