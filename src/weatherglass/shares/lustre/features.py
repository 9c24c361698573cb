"""What each version of Lustre can, as a table (lctl's manual pages and `docs/shares.md`)."""

from __future__ import annotations

FEATURES: dict[str, tuple[int, int]] = {
    "nodemap": (2, 9),
    "deny_unknown": (2, 9),
    "fileset by set_param": (2, 9),
    "project quota": (2, 10),
    "drop_asym_route": (2, 13),
    "rbac": (2, 16),
    "offset": (2, 16),
    "readonly_mount": (2, 16),
    "fileset_add": (2, 17),
    "deny_mount": (2, 17),
}
OLDEST, NEWEST = (2, 9), (2, 17)


def has(version: tuple[int, int], feature: str) -> bool:
    return version >= FEATURES[feature]
