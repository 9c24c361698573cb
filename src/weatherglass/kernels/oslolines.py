# cython: language_level=3
"""oslo.log's common line → its parts, by slices and tables: the hot loop of parsing logs.

What the parts mean, and every line that is not common, is `logs.formats.oslo`'s: it hands in its tables and the
functions that are asked when something comes for the first time. Nothing is decided here that the grammar there
does not decide alike; a property test holds the two together. Plain Python where it is not compiled.
"""

import cython


def reader(levels, millis, seconds, loggers, known, meet_second, meet_logger, meet, request_fields, place_of):
    """A function text → (time_ns, level, logger, message, format, fields), or None where it is no common line.

    `seconds`: `2026-11-22 10:01:02` → ns; `known`: (pid, context, instance) → fields. The `meet` functions fill
    them, and say 0, False or None where there is nothing to know. One thread at a time.
    """

    level_table: dict = levels
    millis_table: dict = millis
    second_table: dict = seconds
    logger_table: set = loggers
    fields_table: dict = known

    def quick(text: str):
        end: cython.Py_ssize_t
        part = millis_table.get(text[19:24])
        if part is None:
            return None
        second = second_table.get(text[:19])
        if second is None:
            second = meet_second(text[:19])
            if not second:
                return None
        parts: list = text[24:].split(" ", 3)
        if len(parts) != 4:
            return None
        logger: str = parts[2]
        rest: str = parts[3]
        level = level_table.get(parts[1])
        end = rest.find("] ")
        # The lines of an exception have no bracket: they are for the table.
        if level is None or end < 0 or rest[0] != "[":
            return None
        if logger not in logger_table and not meet_logger(logger):
            return None
        message: str
        if rest.startswith("[instance: ", end + 2) and rest[end + 49 : end + 51] == "] ":
            key = (parts[0], rest[1:end], rest[end + 13 : end + 49])
            message = rest[end + 51 :].rstrip("\r\n")
        else:
            key = (parts[0], rest[1:end], "")
            message = rest[end + 2 :].rstrip("\r\n")
        fields = fields_table.get(key)
        if fields is None:
            fields = meet(key)
            if fields is None:
                return None
        if "\n" in message and (
            "Traceback (most recent call last):" in message or "\n" + text[:24] in message
        ):
            return None
        if '" status: ' in message:
            fields = {**fields, **request_fields(message)}
        if level == "DEBUG" and ".py" in message[-20:]:
            place = place_of(message)
            if place is not None:
                message = message[: place[0]]
                fields = {**fields, **place[1]}
        return second + part, level, logger, message, "oslo", fields

    return quick


def requests(methods, protocols, statuses, seconds, remote):
    """A function message → fields of nova's own form of a request line; None where it is another.

    Tables: `"GET` → GET, `HTTP/1.1"` → HTTP/1.1, `200` → 200; `seconds` and `remote` match a whole word or not.
    """
    method_table: dict = methods
    protocol_table: dict = protocols
    status_table: dict = statuses
    remotes: set = set()

    def read(message: str):
        words: list = message.split(" ", 10)
        if len(words) != 10 or words[4] != "status:" or words[6] != "len:" or words[8] != "time:":
            return None
        path: str = words[2]
        size: str = words[7]
        method = method_table.get(words[1])
        protocol = protocol_table.get(words[3])
        status = status_table.get(words[5])
        if method is None or protocol is None or status is None or not path:
            return None
        if not (
            path.isascii() and path.isprintable() and len(size) < 16 and size.isascii() and size.isdigit()
        ):
            return None
        if words[0] not in remotes:
            if remote(words[0]) is None:
                return None
            if len(remotes) >= 16_384:
                remotes.clear()
            remotes.add(words[0])
        if seconds(words[9]) is None:
            return None
        return {
            "method": method,
            "path": path,
            "status": status,
            "bytes": int(size),
            "remote": words[0],
            "protocol": protocol,
            "duration": float(words[9]),
        }

    return read
