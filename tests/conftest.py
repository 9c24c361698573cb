"""For all tests: hypothesis without deadlines (machines are shared), and the same examples in every CI run.

A run in the background begins with SIGINT ignored, and so would every process that a test starts and interrupts.
"""

from __future__ import annotations

import os
import signal

from hypothesis import settings

pytest_plugins = ["openstack.plugin"]

settings.register_profile("weatherglass", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("weatherglass")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
