"""Starting and ending real agent processes in tests and benchmarks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from agent.agent_sink import TOKEN


def start(url: str, folder: Path, *, token: str = TOKEN, host: str = "here") -> subprocess.Popen[bytes]:
    """`python -m weatherglass.agent` with its state in `folder`/state."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "token").write_text(token)
    command = [sys.executable, "-m", "weatherglass.agent", "--server", url, "--host", host]
    command += ["--token-file", str(folder / "token"), "--state", str(folder / "state"), "--site", "aurora"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"})


def end(
    process: subprocess.Popen[bytes], number: int = signal.SIGTERM, timeout_s: float = 10.0
) -> tuple[int, str]:
    """Exit code and what it said on stderr."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        _, said = process.communicate(timeout=timeout_s)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    return process.returncode, said.decode()
