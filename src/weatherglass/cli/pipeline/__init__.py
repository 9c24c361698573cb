"""The sub-commands of `weatherglass pipeline`, one module each, found by listing."""
