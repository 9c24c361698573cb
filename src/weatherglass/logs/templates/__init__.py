"""Messages → templates and variables: the streaming miner. Its public names.

`Miner.add` reduces a batch of messages to `Mined`: a template's id a message, and where in the message the
variables lie. `render` gives the message back, byte for byte. Not here: where a message begins in its line
(`logs.parse`), how it is stored.
"""

from __future__ import annotations

from weatherglass.logs.templates.mined import Mined, Template, Variable, render
from weatherglass.logs.templates.miner import Miner

__all__ = ["Mined", "Miner", "Template", "Variable", "render"]
