"""oslo.log's common lines straight into columns: their fields, their messages, their shapes. Pure.

A line that is common in every part (one line, a context, a whole second) is what almost all of a log is; its shape
follows from its parts, so nothing has to be tried. All others go through the grammar (`parse`) and the fitting of shapes
(`fitting`); both ways give the same events, which a property test holds them to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from weatherglass.base.time import SECOND_NS
from weatherglass.kernels.oslocolumns import DASH, EMPTY, GLOBAL, NO_CONTEXT, NONE, PLAIN, columns
from weatherglass.logs.formats.access import REQUEST_TABLES, request_fields
from weatherglass.logs.formats.oslo import IDENTITY, LEVEL_WORDS, identity_fields, place_fields
from weatherglass.logs.reading import day_s

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_LEVELS: Final = frozenset(word for word, level in LEVEL_WORDS.items() if word == level)
_BEGINS: Final = {
    NO_CONTEXT: "-",
    PLAIN: "{request_id}",
    GLOBAL: "{global_request_id} {request_id}",
    EMPTY: " {request_id}",
    DASH: "- {request_id}",
    NONE: "None {request_id}",
}
_REQUEST: Final = ("method", "path", "protocol", "remote")
_LAST_DAY_S: Final = (1 << 62) // SECOND_NS - 86_400
_UNSET: Final = ("-", "", "None")


class Straight:
    """Reads batches."""

    def read(self, texts: list[str]) -> tuple[list[int], np.ndarray, list[str], dict[str, Any]]:
        """(numbers of lines that are left to the grammar, numbers of those that were read, their messages, columns)."""
        import numpy as np
        import pyarrow as pa

        found = columns(texts, _LEVELS, _day_ns, place_fields, REQUEST_TABLES)
        rows, messages = found["rows"], found["messages"]
        out: dict[str, Any] = {"time": found["time"]}
        if not len(rows):
            return found["left"], rows, messages, out
        for name in ("level", "logger"):
            out[name] = _coded(*found[name])
        out["format"] = _coded(np.zeros(len(rows), np.int32), ["oslo"])
        out["pid:int"] = pa.array(found["pid"])
        for name in ("request_id", "global_request_id", "instance"):
            if found[name][1]:
                _put(out, name, found[name][0], found[name][1])
        codes, identities = found["identity"]
        _put_each(out, codes, list(map(identity_fields, identities)))
        places, _ = found["place"]
        _put_each(out, places, found["place_fields"])
        self._put_requests(out, found)
        _put_shapes(out, found)
        return found["left"], rows, messages, out

    def _put_requests(self, out: dict[str, Any], found: Mapping[str, Any]) -> None:
        import numpy as np
        import pyarrow as pa

        methods, _ = found["method"]
        there = methods >= 0
        values = {name: (found[name][0], list(found[name][1])) for name in _REQUEST}
        numbers = {name: (found[name], there) for name in ("status", "bytes", "duration")}
        others = [(row, request_fields(message)) for row, message in found["asked"]]
        held = {name: np.array(there) for name in numbers}
        for row, fields in others:
            for name, value in fields.items():
                if name in values:
                    codes, names = values[name]
                    codes[row] = len(names)
                    names.append(value)
                else:
                    numbers[name][0][row] = value
                    held[name][row] = True
        if not there.any() and not others:
            return
        for name, (codes, names) in values.items():
            _put(out, name, codes, names, unique=bool(others))
        for name, (array, _) in numbers.items():
            kind = ":float" if name == "duration" else ":int"
            if held[name].any():
                out[name + kind] = pa.array(array, mask=~held[name])


def _day_ns(text: str) -> int:
    # `fromisoformat` also knows weeks.
    at = day_s(text) if text.replace("-", "0").isdigit() else -1
    return at * SECOND_NS if 0 < at < _LAST_DAY_S else -1


def _coded(codes: np.ndarray, names: Sequence[str]) -> pa.DictionaryArray:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(names, pa.string()))


def _put(
    out: dict[str, Any], name: str, codes: np.ndarray, names: Sequence[str | None], *, unique: bool = False
) -> None:
    """A column of text; -1 is none. `unique`: names may be there twice."""
    import numpy as np
    import pyarrow as pa

    none = codes < 0
    if unique or None in names:
        numbers: dict[str, int] = {}
        place = [-1 if one is None else numbers.setdefault(one, len(numbers)) for one in names]
        codes = np.append(np.array(place, np.int32), np.int32(-1))[codes]
        none, names = codes < 0, list(numbers)
    if none.all():
        return
    indices = pa.array(codes, mask=none) if none.any() else pa.array(codes)
    out[name] = pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string()))


def _put_each(out: dict[str, Any], codes: np.ndarray, fields: Sequence[Mapping[str, Any] | None]) -> None:
    """The columns of mappings, of which each row has one or none."""
    import numpy as np
    import pyarrow as pa

    names = dict.fromkeys(name for one in fields if one for name in one)
    for name in names:
        values = [one.get(name) if one else None for one in fields]
        if any(isinstance(value, int) for value in values):
            table = np.array([value or 0 for value in values] + [0], np.int64)
            none = np.array([value is None for value in values] + [True])[codes]
            if not none.all():
                out[name + ":int"] = pa.array(table[codes], mask=none)
        else:
            _put(out, name, codes, values, unique=True)


def _put_shapes(out: dict[str, Any], found: Mapping[str, Any]) -> None:
    """Each line's shape, and what stands after its message."""
    import numpy as np

    form, newline = found["form"].astype(np.int64), found["newline"].astype(np.int64)
    identity, identities = found["identity"]
    place, places = found["place"]
    there = found["instance"][0] >= 0
    keys = (((identity.astype(np.int64) + 1) * 8 + form) * 2 + there) * 4 + newline * 2 + (place >= 0)
    seen = np.flatnonzero(np.bincount(keys))
    back = np.zeros(int(seen[-1]) + 1, np.int32)
    back[seen] = np.arange(len(seen), dtype=np.int32)
    names = []
    for key in seen.tolist():
        context = _BEGINS[key >> 3 & 7]
        if key >> 6:
            context += " " + _identity_shape(identities[(key >> 6) - 1])
        instance = "[instance: {instance}] " if key & 4 else ""
        rest = "{tail}" if key & 1 else "\n" if key & 2 else ""
        names.append(f"{{time:iso.3}} {{pid}} {{level}} {{logger}} [{context}] {instance}{{message}}{rest}")
    _put(out, "shape", back[keys], names, unique=True)
    if len(places):
        # With the line's end, as all that stands after the message.
        tails = [*places, *(one + "\n" for one in places)]
        codes = np.where(place >= 0, place + newline.astype(np.int32) * len(places), -1).astype(np.int32)
        used = np.zeros(len(tails), bool)
        used[codes[codes >= 0]] = True
        _put(
            out,
            "tail",
            codes,
            [one if there else None for one, there in zip(tails, used.tolist(), strict=True)],
        )


def _identity_shape(text: str) -> str:
    words = text.split(" ")
    names = IDENTITY.get(len(words))
    if names is None:
        return "{context}"
    return " ".join(
        word if word in _UNSET else f"{{{name}}}" for name, word in zip(names, words, strict=True)
    )
