"""The sub-commands of `weatherglass net`, one module each, found by listing."""
