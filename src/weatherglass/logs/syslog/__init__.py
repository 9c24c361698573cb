"""Syslog as a server takes it: UDP, TCP, TLS (RFC 5426, 6587, 5425). What a message says is `formats.syslog`'s."""

from weatherglass.logs.syslog.listener import Address, Syslog, read_address

__all__ = ["Address", "Syslog", "read_address"]
