"""What one leaf of a filter asks of a value: of text, of a number, and which words it needs. Pure.

Texts are asked by the whole dictionary of a column: a small one value by value, each answer remembered (the same loggers
and templates come again in every row group), a large one at once by RE2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from weatherglass.base.errors import Invalid
from weatherglass.logs import filter as f
from weatherglass.logs.words import words_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_SMALL = 4096
_W = r"[^\pL\pN_]"  # RE2's for what is no part of a word
Leaf = f.Term | f.Terms | f.Phrase | f.Prefix | f.Wildcard | f.Regexp | f.Fuzzy | f.Range


class Test:
    """One leaf, made ready. `words`: folded words that a text must have all of; `phrase`: they are one after the other."""

    __test__ = False

    def __init__(self, leaf: Leaf, *, text: bool) -> None:
        self.leaf, self.text = leaf, text
        self.words: tuple[str, ...] = ()
        self.phrase = False
        self.exact: tuple[str, ...] = ()  # the very values that are asked for, where they are
        self._answers: dict[str, bool] = {}
        self._python: Callable[[str], bool] | None = None
        self._re2 = ""
        pattern = self._pattern()
        if pattern is not None:
            self._compile(*pattern)

    def _pattern(self) -> tuple[str, str] | None:
        """(Python's pattern, RE2's) to search for."""
        leaf, text = self.leaf, self.text
        if isinstance(leaf, f.Phrase):
            return self._phrase(leaf)
        fold = "(?is)" if text or getattr(leaf, "fold", False) else "(?s)"
        if isinstance(leaf, f.Term | f.Terms):
            values = (leaf.value,) if isinstance(leaf, f.Term) else leaf.values
            shown = tuple(str(value).lower() if isinstance(value, bool) else str(value) for value in values)
            if not text and not leaf.fold:
                self.exact = shown
                self.words = tuple(words_of(shown[0])) if len(shown) == 1 else ()
                wanted = frozenset(shown)
                self._python = wanted.__contains__
                return None
            if text and len(shown) == 1:
                return self._phrase(f.Phrase(leaf.field, shown[0]))
            body = "|".join(_quoted(value) for value in shown)
        elif isinstance(leaf, f.Prefix):
            body = _quoted(leaf.text) + (r"\S*" if text else ".*")
        elif isinstance(leaf, f.Wildcard):
            body = _wild(leaf.pattern, text)
        elif isinstance(leaf, f.Regexp):
            body = leaf.pattern
        elif isinstance(leaf, f.Fuzzy):
            wanted_word = leaf.text.casefold()
            self._python = lambda value: any(near(word, wanted_word, leaf.edits) for word in words_of(value))
            return None
        else:
            self._python = _between(leaf)
            return None
        if not text:
            return f"{fold}\\A(?:{body})\\Z", f"{fold}\\A(?:{body})\\z"
        # In text: a word, or what stands between two spaces.
        return (
            f"{fold}(?:(?<!\\w)(?:{body})(?!\\w)|(?<!\\S)(?:{body})(?!\\S))",
            f"{fold}(?:\\A|{_W})(?:{body})(?:\\z|{_W})",
        )

    def _phrase(self, leaf: f.Phrase) -> tuple[str, str]:
        words = words_of(leaf.text)
        if not words:  # signs alone: as they stand
            quoted = _quoted(leaf.text.strip())
            return f"(?i){quoted}", f"(?i){quoted}"
        self.phrase = not leaf.slop
        self.words = tuple(words[:-1] if leaf.prefix else words)
        if leaf.prefix:
            self.phrase = False
        gap = r"\W+" + (rf"(?:\w+\W+){{0,{min(leaf.slop, 50)}}}" if leaf.slop else "")
        gap2 = f"{_W}+" + (f"(?:[\\pL\\pN_]+{_W}+){{0,{min(leaf.slop, 50)}}}" if leaf.slop else "")
        quoted_words = [re.escape(word) for word in words]
        end, end2 = ("", "") if leaf.prefix else (r"(?!\w)", f"(?:\\z|{_W})")
        return (
            rf"(?i)(?<!\w){gap.join(quoted_words)}{end}",
            f"(?i)(?:\\A|{_W}){gap2.join(quoted_words)}{end2}",
        )

    def _compile(self, python: str, re2: str) -> None:
        folds = isinstance(self.leaf, f.Phrase)
        try:
            search = re.compile(python).search
        except (re.error, OverflowError, RecursionError) as error:
            raise Invalid(
                f"not a regular expression: {error}", where=str(getattr(self.leaf, "pattern", ""))[:80]
            ) from error
        self._re2 = re2
        if folds:
            self._python = lambda value: (
                search(value) is not None or (not value.isascii() and search(value.casefold()) is not None)
            )
        else:
            self._python = lambda value: search(value) is not None

    # --- asking ------------------------------------------------------------------------------------------

    def one(self, value: str) -> bool:
        """Of one text."""
        found = self._answers.get(value)
        if found is None:
            assert self._python is not None
            found = self._answers[value] = bool(self._python(value))
            if len(self._answers) > 1 << 17:
                self._answers.clear()
        return found

    def strings(self, values: pa.Array) -> np.ndarray:
        """(values,) bool of a dictionary of texts; false for none."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.exact:
            found = pc.is_in(values, value_set=pa.array(sorted(set(self.exact)), values.type))
        elif len(values) <= _SMALL or not self._re2:
            one = self.one
            return np.array([value is not None and one(value) for value in values.to_pylist()], bool)
        else:
            word = max(self.words, key=len, default="")
            if isinstance(self.leaf, f.Phrase) and word.isascii() and word:
                # A word alone is looked for three times as fast as where words end.
                some = pc.match_substring(values, word, ignore_case=True)
                places = np.flatnonzero(pc.fill_null(some, False).to_numpy(zero_copy_only=False))
                answers = np.zeros(len(values), bool)
                answers[places] = [self.one(one) for one in values.take(pa.array(places)).to_pylist()]
                return answers
            try:
                found = pc.match_substring_regex(values, self._re2)
            except pa.ArrowInvalid as error:
                raise Invalid(f"not a regular expression: {error}", where=self._re2[:80]) from error
        return np.asarray(pc.fill_null(found, False).to_numpy(zero_copy_only=False), bool)

    def asks(self, kind: str) -> bool:
        """Whether values of this kind (`:int :float :bool`) can be what is asked for: a word is no number."""
        leaf = self.leaf
        if isinstance(leaf, f.Phrase):
            wanted: tuple[f.Scalar, ...] = (leaf.text.strip(),)
        elif isinstance(leaf, f.Term | f.Terms):
            wanted = (leaf.value,) if isinstance(leaf, f.Term) else leaf.values
        else:
            return True
        if kind == ":bool":
            return any(str(one).lower() in ("true", "false") for one in wanted)
        return any(as_number(one) is not None for one in wanted)

    def numbers(self, values: np.ndarray) -> np.ndarray:
        """(values,) bool of numbers."""
        import numpy as np

        leaf = self.leaf
        if isinstance(leaf, f.Range):
            found = np.ones(len(values), bool)
            for bound, compare in (
                (leaf.gte, np.greater_equal),
                (leaf.gt, np.greater),
                (leaf.lte, np.less_equal),
                (leaf.lt, np.less),
            ):
                if bound is not None:
                    number = as_number(bound)
                    if number is None:
                        return np.zeros(len(values), bool)
                    found &= compare(values, number)
            return found
        if isinstance(leaf, f.Term | f.Terms):
            wanted = [as_number(one) for one in ((leaf.value,) if isinstance(leaf, f.Term) else leaf.values)]
            return np.isin(values, [one for one in wanted if one is not None])
        if isinstance(leaf, f.Phrase):
            number = as_number(leaf.text.strip())
            return np.zeros(len(values), bool) if number is None else values == number
        distinct, codes = np.unique(values, return_inverse=True)
        return np.array(
            [
                self.one(f"{value:g}" if isinstance(value, float) else str(value))
                for value in distinct.tolist()
            ],
            bool,
        )[codes]

    def plain(self, value: Any) -> bool:
        """Of one value of JSON: of a list, whether one of it is."""
        import numpy as np

        if isinstance(value, list):
            return any(self.plain(one) for one in value)
        if isinstance(value, str):
            return self.one(value)
        if isinstance(value, bool):
            return self.one("true" if value else "false")
        if isinstance(value, int | float):
            return bool(self.numbers(np.array([value]))[0])
        return value is not None and self.one(json.dumps(value))


def as_number(value: Any) -> float | int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    for kind in (int, float):
        try:
            return kind(value)
        except (TypeError, ValueError):
            continue
    return None


def _quoted(text: str) -> str:
    return re.escape(text)


def _wild(pattern: str, text: bool) -> str:
    """A wildcard pattern as a regular expression."""
    any_, out, at = (r"\S" if text else "."), [], 0
    while at < len(pattern):
        sign = pattern[at]
        if sign == "\\" and at + 1 < len(pattern):
            at += 1
            out.append(re.escape(pattern[at]))
        else:
            out.append(f"{any_}*" if sign == "*" else any_ if sign == "?" else re.escape(sign))
        at += 1
    return "".join(out)


def _between(leaf: f.Range) -> Callable[[str], bool]:
    """A range over text: as numbers where the bound is a number and the text reads as one."""
    bounds = [(leaf.gte, 0), (leaf.gt, 1), (leaf.lte, 2), (leaf.lt, 3)]

    def inside(value: str) -> bool:
        for bound, how in bounds:
            if bound is None:
                continue
            left: Any = value
            right: Any = bound
            if not isinstance(bound, str):
                left = as_number(value)
                if left is None or isinstance(bound, bool):
                    return False
            if not (
                (left >= right)
                if how == 0
                else (left > right)
                if how == 1
                else (left <= right)
                if how == 2
                else (left < right)
            ):
                return False
        return True

    return inside


def near(word: str, other: str, edits: int) -> bool:
    """Whether they are at most so many edits apart (optimal string alignment)."""
    if abs(len(word) - len(other)) > edits:
        return False
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, left in enumerate(word, 1):
        oldest, before, row = before, row, [i]
        for j, right in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and word[i - 2] == right:
                cost = min(cost, oldest[j - 2] + 1)
            row.append(cost)
        if min(row) > edits:
            return False
    return row[-1] <= edits
