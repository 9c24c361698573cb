"""The origin guard: a NID is its peer's own, or its words are dropped. A relay on a router's leg to one tenant."""
