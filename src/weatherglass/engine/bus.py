"""The bus inside one process: tells listeners that something changed. Nothing here is durable or crosses a wire."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

from weatherglass.engine.protocols import Subscription

Message = tuple[str, Mapping[str, Any]]


class LocalBus:
    """`protocols.Bus` for the rooms of one server."""

    def __init__(self, depth: int = 1024) -> None:
        """`depth`: messages a subscription holds before it loses its oldest."""
        self._depth = depth
        self._lock = threading.Lock()
        self._subscriptions: tuple[
            _LocalSubscription, ...
        ] = ()  # replaced, never changed: publish takes no lock

    def publish(self, topic: str, body: Mapping[str, Any]) -> None:
        """Never blocks; callable from any thread. `body` must not be changed afterwards."""
        for subscription in self._subscriptions:
            subscription.offer(topic, body)

    def subscribe(self, *topics: str) -> Subscription:
        """Messages of these topics from now on; of every topic when none is named."""
        subscription = _LocalSubscription(self, frozenset(topics), self._depth)
        with self._lock:
            self._subscriptions = (*self._subscriptions, subscription)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions = tuple(one for one in self._subscriptions if one is not subscription)


class _LocalSubscription:
    def __init__(self, bus: LocalBus, topics: frozenset[str], depth: int) -> None:
        self.lost = 0
        self._bus, self._topics, self._closed = bus, topics, False
        self._messages: deque[Message] = deque(maxlen=depth)
        self._arrived = threading.Condition()

    def offer(self, topic: str, body: Mapping[str, Any]) -> None:
        if self._topics and topic not in self._topics:
            return
        with self._arrived:
            self.lost += len(self._messages) == self._messages.maxlen
            self._messages.append((topic, body))
            self._arrived.notify()

    def get(self, timeout_s: float) -> Message | None:
        with self._arrived:
            self._arrived.wait_for(lambda: self._messages or self._closed, timeout_s)
            return self._messages.popleft() if self._messages else None

    def close(self) -> None:
        self._bus.forget(self)
        with self._arrived:
            self._closed = True
            self._arrived.notify_all()
