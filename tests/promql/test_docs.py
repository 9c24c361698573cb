"""docs/promql.md against the tables. `python -m promql.test_docs` (from tests/) writes the page's tables anew."""

import re
from pathlib import Path

from promql.differences import TABLE
from weatherglass.metrics.promql import AGGREGATORS, FUNCTIONS, notes, options, parser

PAGE = Path(__file__).parents[2] / "docs" / "promql.md"
SHORT = {"instant vector": "v", "range vector": "v[…]", "scalar": "s", "string": '"…"'}


def signature(name, function):
    kinds = [SHORT[kind] for kind in function.args]
    least = len(kinds) - function.optional
    shown = ", ".join(kinds[:least]) + "".join(
        f"[, {kind}]" if least or k else f"[{kind}]" for k, kind in enumerate(kinds[least:])
    )
    return f"`{name}({shown}{', …' if function.variadic else ''})`"


def flag(one):
    return " Experimental." if one.experimental else ""


def table(heads, rows):
    return "\n".join(
        [
            "| " + " | ".join(heads) + " |",
            "|---" * len(heads) + "|",
            *(f"| {' | '.join(row)} |" for row in rows),
        ]
    )


def sections():
    """What stands between `<!-- name -->` and `<!-- /name -->`."""
    bounds = (
        ("steps of a range query", f"{options.MAX_STEPS:,}"),
        ("steps of a sub-query", f"{options.MAX_SUBQUERY_STEPS:,}"),
        ("series × steps of one selector", f"{options.MAX_CELLS:,}"),
        ("samples in all windows of a range function", f"{options.MAX_LOOKED_AT:,}"),
        ("nesting", f"{parser.MAX_DEPTH:,}"),
        ("operators in one chain", f"{parser.MAX_CHAIN:,}"),
    )
    return {
        "functions": table(
            ("function", "gives"),
            [(signature(name, one), one.doc + (" Gives a scalar." if one.returns == "scalar" else "") + flag(one)) for name, one in sorted(FUNCTIONS.items())],
        ),
        "aggregators": table(
            ("operator", "gives"),
            [
                (f"`{name}({SHORT[one.parameter] + ', ' if one.parameter else ''}v)`", one.doc + flag(one))
                for name, one in sorted(AGGREGATORS.items())
            ],
        ),
        "bounds": table(("bound", "at most"), bounds),
        "annotations": table(
            ("kind", "text"),
            [
                (kind, re.sub(r"\{\d?\}", "…", text.replace("{for_name}", " [for metric name …]")))
                for kind, texts in (("warning", notes.WARNINGS), ("info", notes.INFOS))
                for text in texts.values()
            ],
        ),
        "differences": table(("here, as in Prometheus 3", "in the comparison"), TABLE),
    }  # fmt: skip


def filled(page):
    for name, text in sections().items():
        form = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        assert len(form.findall(page)) == 1, name
        page = form.sub(lambda found, text=text: found[1] + text + "\n" + found[2], page)
    return page


def test_the_page_has_every_function_operator_bound_and_difference():
    page = PAGE.read_text()
    assert page == filled(page), "run: cd tests && python -m promql.test_docs"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
