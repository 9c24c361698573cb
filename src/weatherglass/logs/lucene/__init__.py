"""Lucene's query_string language → a filter (`logs.filter`). `parse` and nothing else.

Its own reading where Lucene's is known to surprise: AND binds closer than OR, NOT closer than both (Lucene's classic
parser has no precedence at all); boosts (`^2`) are read and have no meaning, as nothing is ranked.
"""

from __future__ import annotations

from weatherglass.logs.lucene.parser import parse

__all__ = ["parse"]
