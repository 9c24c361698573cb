"""Where targets come from: one module a kind of discovery, each from its configuration to groups of targets."""
