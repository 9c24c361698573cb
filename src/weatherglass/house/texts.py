"""A file that a person named, as text: what every local door begins with."""

from __future__ import annotations

from pathlib import Path

from weatherglass.base.errors import Invalid


def text_of(path: Path) -> str:
    """A file's text. Raises Invalid."""
    try:
        return path.read_text()
    except OSError as error:
        raise Invalid(
            f"it cannot be read: {error.strerror}", where=str(path), mend="name a file that is there"
        ) from None
    except UnicodeDecodeError:
        raise Invalid("it is not text", where=str(path), mend="save it as UTF-8") from None
