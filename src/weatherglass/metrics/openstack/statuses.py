"""Statuses as numbers: the place of each in its list, as openstack-exporter numbers them; -1 for one it does not know."""

from __future__ import annotations

SERVER = (
    "ACTIVE", "BUILD", "BUILD(spawning)", "DELETED", "ERROR", "HARD_REBOOT", "PASSWORD", "REBOOT", "REBUILD", "RESCUE",
    "RESIZE", "SHUTOFF", "SUSPENDED", "UNKNOWN", "VERIFY_RESIZE", "MIGRATING", "PAUSED", "REVERT_RESIZE", "SHELVED",
    "SHELVED_OFFLOADED", "SOFT_DELETED",
)  # fmt: skip
VOLUME = (
    "creating", "available", "reserved", "attaching", "detaching", "in-use", "maintenance", "deleting",
    "awaiting-transfer", "error", "error_deleting", "backing-up", "restoring-backup", "error_backing-up",
    "error_restoring", "error_extending", "downloading", "uploading", "retyping", "extending",
)  # fmt: skip
LOADBALANCER = ("ONLINE", "DRAINING", "OFFLINE", "ERROR", "NO_MONITOR")
AMPHORA = ("BOOTING", "ALLOCATED", "READY", "PENDING_CREATE", "PENDING_DELETE", "DELETED", "ERROR")
POOL = ("ACTIVE", "DELETED", "ERROR", "PENDING_CREATE", "PENDING_UPDATE", "PENDING_DELETE")
STACK = (
    "INIT_IN_PROGRESS", "INIT_FAILED", "INIT_COMPLETE", "CREATE_IN_PROGRESS", "CREATE_FAILED", "CREATE_COMPLETE",
    "DELETE_IN_PROGRESS", "DELETE_FAILED", "DELETE_COMPLETE", "UPDATE_IN_PROGRESS", "UPDATE_FAILED", "UPDATE_COMPLETE",
    "ROLLBACK_IN_PROGRESS", "ROLLBACK_FAILED", "ROLLBACK_COMPLETE", "SUSPEND_IN_PROGRESS", "SUSPEND_FAILED",
    "SUSPEND_COMPLETE", "RESUME_IN_PROGRESS", "RESUME_FAILED", "RESUME_COMPLETE", "ADOPT_IN_PROGRESS", "ADOPT_FAILED",
    "ADOPT_COMPLETE", "SNAPSHOT_IN_PROGRESS", "SNAPSHOT_FAILED", "SNAPSHOT_COMPLETE", "CHECK_IN_PROGRESS",
    "CHECK_FAILED", "CHECK_COMPLETE",
)  # fmt: skip


def number(statuses: tuple[str, ...], status: object) -> float:
    """The place of a status in its list, or -1."""
    return float(statuses.index(status)) if isinstance(status, str) and status in statuses else -1.0
