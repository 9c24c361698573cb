"""Files of logs → their templates with counts, without a server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from weatherglass.house.logfiles import Told, parsed
from weatherglass.logs.templates import Miner


def templates(paths: Sequence[Path], told: Told) -> list[dict[str, Any]]:
    """One object a template, most frequent first: template_id, template, count, types, levels, loggers.

    All files are of one miner; what they were given on the way is counted under what it became. Raises as
    `logfiles.events`.
    """
    miner = Miner()
    counts: Counter[tuple[int | str, ...]] = Counter()
    for columns in parsed(paths, told):
        mined = miner.add(columns.logger, columns.message)
        counts.update(mined.counts_by(columns.level, columns.logger))
    levels: dict[int, Counter[str]] = {}
    loggers: dict[int, Counter[str]] = {}
    for (id, level, logger), count in counts.items():
        now = miner.alias(int(id))
        levels.setdefault(now, Counter())[str(level)] += count
        loggers.setdefault(now, Counter())[str(logger)] += count
    return [
        {
            "template_id": template.id,
            "template": template.text,
            "count": count,
            "types": list(template.types),
            "levels": {level: n for level, n in levels[template.id].most_common() if level},
            "loggers": {logger: n for logger, n in loggers[template.id].most_common(20) if logger},
        }
        for template, count in miner.templates()
    ]
