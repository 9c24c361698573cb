"""The sub-commands of `weatherglass shares`, one module each."""
