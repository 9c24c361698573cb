"""The register of actions that rooms offer each other. What an action does lives in its room; who may ask, in identity."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from difflib import get_close_matches

from weatherglass.base.errors import Conflict, NotFound
from weatherglass.engine.protocols import Outcome, Request


class Actions:
    """`protocols.ActionRegistry` inside one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._actions: dict[str, tuple[Callable[[Request], Outcome], str]] = {}

    def register(self, action: str, handler: Callable[[Request], Outcome], doc: str) -> None:
        """Offer `action`; `doc` is one sentence for people. Raises Conflict when the name is taken."""
        with self._lock:
            if action in self._actions:
                raise Conflict(
                    f"the action {action!r} is registered already", mend="give one of them another name"
                )
            self._actions[action] = handler, doc

    def ask(self, request: Request) -> Outcome:
        """Ask for it, in this thread. Raises NotFound for an action that nobody offers, and what its room raises."""
        with self._lock:
            known = self._actions.get(request.action)
            names = sorted(self._actions)
        if known is None:
            near = get_close_matches(request.action, names, 1)
            raise NotFound(
                f"nobody offers the action {request.action!r}",
                where=request.entity,
                mend=f"did you mean {near[0]}?" if near else f"there are: {', '.join(names) or 'none'}",
            )
        return known[0](request)

    def known(self) -> Mapping[str, str]:
        """Each action and its sentence."""
        with self._lock:
            return {name: doc for name, (_, doc) in sorted(self._actions.items())}
