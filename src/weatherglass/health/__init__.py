"""Signals → states → causes → remedies asked for. Health asks, it does not act; states and incidents are published
into the inventory, where every room reads them.
"""

from weatherglass.health.deadman import DeadMan
from weatherglass.health.room import Health
from weatherglass.health.sentence import spoken
from weatherglass.health.vantage import Prober

__all__ = ["DeadMan", "Health", "Prober", "spoken"]
