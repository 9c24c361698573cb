"""`python -m weatherglass.agent`."""

from __future__ import annotations

import sys

from weatherglass.agent.command import main

sys.exit(main())
