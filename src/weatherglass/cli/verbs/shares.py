"""Give tenants their part of a shared file system, and prove that they are kept to it.

Example: weatherglass shares verify examples/shares/lustre.yaml
"""

from __future__ import annotations

from weatherglass.cli import shares
from weatherglass.cli.nouns import noun

PANEL = "Declare and deploy"

app = noun(shares, __doc__)
"""The sub-commands of `weatherglass shares`, one module each, found by listing."""
