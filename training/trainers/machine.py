"""The machine that a run is on: its memory, its name, its disk, and what it says when they are not enough."""

from __future__ import annotations

import ctypes
import fcntl
import gc
import os
import platform
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from faultgym.core.errors import UserError
from faultgym.core.files import DISK_FULL
from faultgym.training.configs.estimate import MIB, free_memory

_FULL_WORDS = (
    "no space left",
    "os error 28",
    "os error 27",
    "file too large",
    "disk quota",
    "pytorchstreamwriter failed",
    "unexpected pos ",  # PyTorch's writer, closing a file in which it could not write all
    "iostream error",
)
"""What libraries that write in other languages say instead of raising OSError."""
_MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory")


class Peak:
    """The most memory that is taken from its making on.

    Args:
        device: `cuda` for the GPU's memory, all else for that of this process.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        if device == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats()
        elif sys.platform == "linux":
            with suppress(OSError):  # then it is that of the process's life
                Path("/proc/self/clear_refs").write_text("5")  # proc(5): the peak of the resident set begins anew

    def mib(self) -> int:
        """The peak so far, in MiB."""
        if self.device == "cuda":
            import torch

            return int(torch.cuda.max_memory_reserved() / MIB)
        try:
            lines = Path("/proc/self/status").read_text().splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) // 1024
        except (OSError, StopIteration):
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return peak // (MIB if sys.platform == "darwin" else 1024)


def free_on(device: str) -> int:
    """Bytes that are free on a device; 0 when that is not known.

    Args:
        device: `cuda` for the GPU's memory, all else for main memory.
    """
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    return free_memory()


def release() -> None:
    """Give back the memory of models that are not used any more.

    Trainers hold theirs in cycles, PyTorch keeps a GPU's, and the C library gigabytes of what a training step needed. A
    server that is started next looks at what is free on the whole GPU, or takes its share beside this process.
    """
    import torch

    gc.collect()
    with suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def device_name(device: str) -> str:
    """The name of a device, for people."""
    if device == "cuda":
        import torch

        return str(torch.cuda.get_device_name())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{cores} cores of {platform.machine()}"


@contextmanager
def alone(lock: Path, needed: bool) -> Iterator[None]:
    """Keep every other process from the same work.

    Args:
        lock: The file that is locked.
        needed: Whether this process is the one that locks.

    Raises:
        UserError: Another process is at the work.
    """
    if not needed:
        yield
        return
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"another process is training in {lock.parent}: wait for it, or choose another --out"
            ) from error
        yield


@contextmanager
def understood(work: Path) -> Iterator[None]:
    """Turn a full disk and too little memory into one message, no matter which library found out.

    Args:
        work: The work folder; the message names the folder above.

    Raises:
        UserError: The disk is full, or the memory was not enough.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        causes = list(_chain(error))
        text = " ".join(f"{type(one).__name__}: {one}".lower() for one in causes)
        if any(getattr(one, "errno", None) in DISK_FULL for one in causes) or any(word in text for word in _FULL_WORDS):
            raise UserError(
                f"the disk of {work.parent} is full, or a file may not grow so large: free some of it, then go on from"
                " the last whole checkpoint with --resume"
            ) from error
        if any(isinstance(one, MemoryError) for one in causes) or any(word in text for word in _MEMORY_WORDS):
            raise UserError(
                "the memory was not enough: lower batch_size (and raise accumulation) or max_length, set"
                " gradient_checkpointing=true, or take adapter qlora"
            ) from error
        raise


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it followed from: on a full disk PyTorch's writer fails again when it closes the file."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def unused_gpus(device: str) -> str:
    """A warning where GPUs stay idle because no process was launched for each; empty where none does.

    Args:
        device: `cpu` or `cuda`.
    """
    import torch

    count = torch.cuda.device_count() if device == "cuda" and "WORLD_SIZE" not in os.environ else 1
    if count < 2:
        return ""
    return (
        f"{count} GPUs are visible, and one was used: begin with `accelerate launch --num_processes {count}` to use all"
    )
