"""Lustre: a policy into lctl and lnetctl commands, and those commands read back into what they do."""
