"""vLLM servers as subprocesses: found, started, waited for, and stopped, whatever happens in between.

with served(Serving("tiny-random", port=0)) as (server,):
    print(server.url)
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from importlib import metadata
from pathlib import Path
from uuid import uuid4

from faultgym.agents.models.adapters import adapter_rank
from faultgym.agents.models.cpu import has_bfloat16
from faultgym.agents.models.files import MERGED, is_embedded, made_by
from faultgym.core.errors import UserError

START_SECONDS = 1800.0
"""How long a server may take until it is healthy; a large model is long on its way to the GPU."""
STOP_SECONDS = 20.0
"""How long it may take to end by itself before it is killed."""
CPU_DEFAULTS = {
    "VLLM_CPU_KVCACHE_SPACE": "2",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": "3600",
}
"""GiB; threads that several servers on one machine can share; and patience with a step of the model, because beside
other work a CPU may be slow for minutes, after which vLLM would end itself."""
VLLM_FOLDER = ".venv-vllm"
CPU_OPTIONS = ("--no-enable-chunked-prefill",)
"""On the CPU vLLM 0.31 dies of a prompt that is read in pieces with a seed ("CPU Generator does not use offset")."""
SLOW_ADAPTERS = (
    "note: vllm-cpu is many times slower with an adapter than with the same weights merged: train with --merge, and"
    " serve the folder merged/ in the result"
)

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_PROBE = """
from importlib import metadata
for name in ("vllm", "vllm-cpu"):
    try:
        metadata.version(name)
        print(name)
        break
    except metadata.PackageNotFoundError:
        pass
"""


@dataclass(frozen=True, slots=True)
class Serving:
    """What is to be served, and how."""

    model: str
    """An embedded model's name, a folder, or a hub id."""
    adapters: tuple[str, ...] = ()
    """Folders of LoRA adapters; each is served under its folder's name beside the model."""
    replicas: int = 1
    host: str = "127.0.0.1"
    port: int = 8000
    """The first replica's; the others follow. 0 takes free ones."""
    python: str = ""
    """The interpreter of an environment with vLLM; empty to look here and in `.venv-vllm`."""
    tool_call_parser: str = "hermes"
    """vLLM's name for the form in which the model writes tool calls; empty to leave them in the text."""
    max_model_len: int | None = None
    logs: Path | None = None
    """The folder of the logs; a temporary one by default, which stays."""
    more: tuple[str, ...] = ()
    """Further options of vLLM's server, as they are."""

    @property
    def name(self) -> str:
        """The name that the model is served under: its folder's; for `runs/a/merged` that is `a-merged`."""
        if is_embedded(self.model) or not Path(self.model).is_dir():
            return self.model
        folder = Path(os.path.abspath(self.model))  # a link keeps its own name
        return f"{folder.parent.name}-{folder.name}" if folder.name == MERGED else folder.name


@dataclass(frozen=True, slots=True)
class Server:
    """One replica."""

    name: str
    """Of the model, in requests."""
    url: str
    """With `/v1`."""
    log: Path
    process: subprocess.Popen[bytes]
    token: str = ""
    """A second name of the model, which no other server knows."""

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self.process.poll() is None

    @property
    def healthy(self) -> bool:
        """Whether the server says that it is healthy."""
        return self._asked(self.url.removesuffix("/v1") + "/health") is not None

    @property
    def answers(self) -> bool:
        """Whether this server answers at its URL, and no other one."""
        return self.running and self.token.encode() in (self._asked(self.url + "/models") or b"")

    def _asked(self, url: str) -> bytes | None:
        """What is answered with the status 200, never through a proxy."""
        try:
            with _DIRECT.open(url, timeout=5) as reply:
                return bytes(reply.read()) if reply.status == 200 else None
        except (OSError, HTTPException):
            return None

    def stop(self) -> None:
        """Let the server end by itself for `STOP_SECONDS`, then kill what is left."""
        if self.running:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the server and the processes it has started, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def served(
    serving: Serving, *, start_seconds: float = START_SECONDS, say: Callable[[str], None] = lambda text: None
) -> Iterator[tuple[Server, ...]]:
    """The healthy replicas, which are stopped at the end. They do not outlive this process (on Linux).

    Args:
        serving: What is served.
        start_seconds: How long the replicas may take until they are healthy.
        say: Hears what goes on.

    Raises:
        UserError: There is no vLLM, the model cannot be made, an adapter cannot be served, a port is in use, or a
            server dies or is late: then with its own last words, or its log.
    """
    python, package = find_vllm(serving.python)
    model = made_by(python, serving.model)
    options = [*_options(serving), *_adapter_options(serving.adapters)]
    options += [*(_cpu_options() if package == "vllm-cpu" else ()), *serving.more]
    ports = _ports(serving.host, serving.port, serving.replicas)
    if serving.adapters and package == "vllm-cpu":
        say(SLOW_ADAPTERS)
    logs = serving.logs or Path(tempfile.mkdtemp(prefix="faultgym-vllm-"))
    logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        servers = []
        for number, port in enumerate(ports):
            command = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", model]
            token = f"faultgym-{uuid4().hex}"
            command += ["--served-model-name", serving.name, token]
            command += ["--host", serving.host, "--port", str(port), *options]
            environment = _environment(package, number, serving)
            log = logs / f"{serving.name.replace('/', '_')}-{port}.log"
            process = _started(command, environment, log)
            server = Server(serving.name, f"http://{serving.host}:{port}/v1", log, process, token)
            stack.callback(server.stop)
            servers.append(server)
            say(f"{package} starts {serving.name} on port {port}; its log: {log}")
        _await(servers, time.monotonic() + start_seconds)
        yield tuple(servers)


def _cpu_options() -> tuple[str, ...]:
    return CPU_OPTIONS if has_bfloat16() else (*CPU_OPTIONS, "--dtype", "float32")


def find_vllm(asked: str = "") -> tuple[str, str]:
    """Find an environment with vLLM: the one that is asked for, else this one, else `.venv-vllm`.

    Args:
        asked: The only interpreter that is tried; empty for any.

    Returns:
        The interpreter, and its package: `vllm` or `vllm-cpu`.

    Raises:
        UserError: There is none; the message says how to get one.
    """
    checkout = Path(__file__).resolve().parents[2]
    near = [str(folder / VLLM_FOLDER / "bin" / "python") for folder in dict.fromkeys((Path.cwd(), checkout))]
    for python in [asked] if asked else [sys.executable, *(path for path in near if Path(path).exists())]:
        try:
            found = subprocess.run([python, "-c", _PROBE], capture_output=True, text=True, check=False).stdout.strip()
        except OSError as error:
            raise UserError(f"--python {python}: {error.strerror}") from error
        if found:
            return python, found
    where = asked or "this environment"
    raise UserError(
        f"there is no vLLM in {where}: with a GPU, pip install 'faultgym[vllm]'; without one, make vllm-cpu in a "
        f"checkout of faultgym (it makes {VLLM_FOLDER}, which is found from there), or name one with --python"
    )


def _options(serving: Serving) -> list[str]:
    options = []
    if serving.tool_call_parser:
        options += ["--enable-auto-tool-choice", "--tool-call-parser", serving.tool_call_parser]
    if serving.max_model_len:
        options += ["--max-model-len", str(serving.max_model_len)]
    return options


def _adapter_options(adapters: Sequence[str]) -> list[str]:
    if not adapters:
        return []
    modules = [f"{Path(adapter).resolve().name}={adapter}" for adapter in adapters]
    rank = str(adapter_rank(adapters))
    return ["--enable-lora", "--max-lora-rank", rank, "--max-loras", str(len(modules)), "--lora-modules", *modules]


def _ports(host: str, first: int, count: int) -> list[int]:
    """Free ports; raises UserError for one that is in use."""
    with ExitStack() as stack:
        found = []
        for number in range(count):
            wanted = first + number if first else 0
            taken = stack.enter_context(socket.socket())
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                taken.bind((host, wanted))
            except (OSError, OverflowError) as error:
                raise UserError(f"port {wanted} on {host} cannot be had ({error}): choose another --port") from error
            found.append(int(taken.getsockname()[1]))
        return found


def free_port() -> int:
    """A port of this machine that nothing listens on now."""
    return _ports("127.0.0.1", 0, 1)[0]


def vllm_package() -> str:
    """Which vLLM is installed beside faultgym, `vllm` or `vllm-cpu`; empty when there is none."""
    for name in ("vllm", "vllm-cpu"):
        try:
            metadata.version(name)
            return name
        except metadata.PackageNotFoundError:
            continue
    return ""


def vllm_defaults(package: str, replicas: int = 1) -> dict[str, str]:
    """The environment variables that a vLLM is started with, where the user has not set them.

    Args:
        package: `vllm` or `vllm-cpu`.
        replicas: How many servers share the cores.
    """
    defaults = {"VLLM_NO_USAGE_STATS": "1"}
    if package == "vllm-cpu":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        defaults |= {**CPU_DEFAULTS, "OMP_NUM_THREADS": str(max(1, cores // replicas))}
    return defaults


def _environment(package: str, replica: int, serving: Serving) -> dict[str, str]:
    """What a server inherits: each replica has GPUs of its own, where there are several."""
    environment = {**vllm_defaults(package, serving.replicas), **os.environ}
    gpus = _gpus() if package == "vllm" and serving.replicas > 1 else []
    if len(gpus) > 1:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(_share(gpus, replica, _gpus_each(serving.more)))
    return environment


def _share(gpus: Sequence[str], replica: int, each: int) -> list[str]:
    """A replica's GPUs; where there are not enough for all, some are shared."""
    return [gpus[(replica * each + n) % len(gpus)] for n in range(min(each, len(gpus)))]


_PARALLEL = re.compile(r"(--tensor-parallel-size|-tp|--pipeline-parallel-size|-pp|--data-parallel-size|-dp)(?:=(.*))?")


def _gpus_each(options: Sequence[str]) -> int:
    """How many GPUs one server takes, by vLLM's options."""
    each = 1
    for option, following in zip(options, [*options, ""][1:], strict=True):
        if found := _PARALLEL.fullmatch(option):
            number = found[2] if found[2] is not None else following
            each *= int(number) if number.isdigit() else 1
    return each


def _gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    if told := os.environ.get("CUDA_VISIBLE_DEVICES"):
        return told.split(",")
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return []
    return re.findall(r"^GPU (\d+)", listed, re.M)


def _started(command: Sequence[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """The process, in a session of its own: Ctrl-C in our terminal is for us."""
    with log.open("wb") as out:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )


def _end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent is gone, however it went (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _await(servers: Sequence[Server], deadline: float) -> None:
    waiting = list(servers)
    while waiting:
        for server in servers:
            if not server.running:
                raise UserError(f"vLLM ended while it was starting: {last_words(server.log)} (all of it: {server.log})")
        waiting = [server for server in waiting if not server.healthy]
        if waiting and time.monotonic() > deadline:
            raise UserError(f"vLLM was not healthy in time; its log: {waiting[0].log}")
        if waiting:
            time.sleep(0.25)
    for server in servers:
        if not server.answers:  # two that start at one time can both find their port free
            raise UserError(f"another server answers at {server.url}: choose another --port")


def last_words(log: Path) -> str:
    """What a server's log says of its end: the last error that is named and what follows, else the last line."""
    lines = [_PREFIX.sub("", line).strip() for line in log.read_text(errors="replace").splitlines()]
    lines = [line for line in lines if line] or ["it said nothing"]
    errors = [number for number, line in enumerate(lines) if re.match(r"[\w.]*(Error|Exception)\b: ", line)]
    return " ".join(lines[errors[-1] : errors[-1] + 3]) if errors else lines[-1]


_PREFIX = re.compile(r"^(\(\w+ pid=\d+\) )?([A-Z]+ [\d-]+ [\d:]+ \[[^\]]*\] )?")
"""Which of vLLM's processes wrote the line, and when."""
