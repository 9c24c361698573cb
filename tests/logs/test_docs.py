"""docs/logs.md does what it says: its Python runs from the top, its SQL in DuckDB, its pandas in pandas."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from peers import venv

PAGE = Path(__file__).parents[2] / "docs" / "logs.md"
BLOCK = re.compile(r"```(python|sql)([^\n]*)\n(.*?)```", re.DOTALL)


def test_the_page(tmp_path: Path) -> None:
    names: dict[str, object] = {}
    others = []
    for language, told, code in BLOCK.findall(PAGE.read_text()):
        if language == "python" and "peer" not in told:
            exec(compile(code, str(PAGE), "exec"), names)
        else:
            others.append((language, code))
    assert len(others) == 2
    python = venv("logs") / "python"
    for language, code in others:
        script = f"blocks = {names['blocks']!r}\n" + (
            code
            if language == "python"
            else "import duckdb\nc = duckdb.connect()\n"
            f"c.execute('SET VARIABLE blocks = ' + repr(blocks))\nrows = c.execute({code!r}).fetchall()\n"
            "assert rows[0][2] == 'Took 4 seconds to build', rows\n"
        )
        subprocess.run([python, "-c", script], check=True, timeout=60)
