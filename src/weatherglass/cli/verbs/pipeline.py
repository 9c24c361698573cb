"""Is a pipeline ready for a cloud, how far does it scale, what does it cost.

Example: weatherglass pipeline fit runs.csv --predict 32 --predict 64
"""

from __future__ import annotations

from weatherglass.cli import pipeline
from weatherglass.cli.nouns import noun

PANEL = "Science"

app = noun(pipeline, __doc__)
