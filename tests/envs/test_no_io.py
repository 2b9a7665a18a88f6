"""No tool opens a file or a socket: the interpreter's own audit events, over whole episodes."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
from faultgym.agents.rollouts.play import run_episode
from faultgym.agents.registry import policy_named
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import suites

def play():
    for suite in suites().values():
        for name in suite.names("dev"):
            for policy in ("expert", "random", "spam"):
                for preset in ("clean", "rough", "hostile"):
                    task = suite.task(name, "dev", 0)
                    run_episode(policy_named(policy), task, schedule_for(task, preset))

play()  # imports, caches, worlds and their search indexes
seen = []
FORBIDDEN = ("open", "socket.", "os.", "subprocess.", "shutil.", "urllib.", "http.", "ftplib.", "import")

def audit(event, arguments):
    if arguments and arguments[0] == "/proc/self/statm":  # the SQL guard weighs its own process
        return
    if event.startswith(FORBIDDEN) or (event == "sqlite3.connect" and arguments[0] != ":memory:"):
        seen.append((event, str(arguments)[:200]))

sys.addaudithook(audit)
play()
sys.stdout.write("\\n".join(map(str, seen[:5])) or "nothing")
"""


def test_an_episode_opens_no_file_and_no_socket() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.stdout == "nothing", done.stdout + done.stderr[-2000:]
