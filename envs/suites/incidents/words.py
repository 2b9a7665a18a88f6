"""The fixed words of the operations desk: error codes, causes, roles, and the days its logs cover."""

from __future__ import annotations

from datetime import timedelta

from faultgym.envs.worlds.world import EPOCH

ROLES = ("api", "worker", "gateway", "store", "cache", "scheduler", "indexer", "mailer")
SEVERITIES = ("sev1", "sev2", "sev3")
STATUSES = ("healthy", "degraded", "down")
STATES = ("open", "acknowledged", "resolved")
STAGES = ("live", "superseded", "rolled_back")
LEVELS = ("info", "warn", "error")

CODES = {
    "HEAP_EXHAUSTED": "heap limit reached",
    "QUEUE_BACKLOG": "queue too deep",
    "POOL_EMPTY": "no connection left",
    "DISK_ALMOST_FULL": "two percent left",
    "HANDSHAKE_FAILED": "peer refused",
    "NAME_UNRESOLVED": "peer has no address",
    "REPLY_LATE": "peer too slow",
}
"""Code -> message. A code is a symptom: it does not tell the cause."""
CAUSES = (
    "memory_leak", "expired_certificate", "full_disk", "exhausted_pool", "faulty_release", "dns_failure",
    "wrong_flag", "slow_upstream",
)  # fmt: skip
QUIET = {"STARTED": "ready", "HEALTH_OK": "passed", "CACHE_MISS": "from origin"}
"""Codes of entries that report no error."""

TODAY = EPOCH.date().isoformat()
WEEK = TODAY
"""The Monday that names the current on-call week."""
WEEKS = tuple((EPOCH + timedelta(days=7 * n)).date().isoformat() for n in (-1, 0, 1))
DAYS = tuple((EPOCH - timedelta(days=n)).date().isoformat() for n in range(4, -1, -1))
"""The days that the logs cover, oldest first; the last is today, until 09:00."""


def plain(code: str) -> str:
    """`memory_leak` as prose writes it."""
    return code.replace("_", " ")
