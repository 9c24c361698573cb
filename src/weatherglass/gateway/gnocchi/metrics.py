"""`/v1/metric`, a metric's measures, and the batches of measures."""

from __future__ import annotations

from weatherglass.engine.protocols import Written
from weatherglass.gateway.gnocchi.answers import Answer, location, next_page
from weatherglass.gateway.gnocchi.asking import Ask
from weatherglass.metrics.gnocchi import Metric


def told(written: Written, status: int = 202) -> Answer:
    """An acknowledgement that says what became of late measures, which Gnocchi drops without a word."""
    headers = {}
    if written.out_of_order:
        headers["X-Weatherglass-Late"] = str(written.out_of_order)
    if written.too_old:
        headers["X-Weatherglass-Too-Old"] = str(written.too_old)
    return Answer(None, status, headers)


def metrics(ask: Ask) -> Answer:
    page = ask.page(("id:asc",))
    found = ask.gnocchi.metrics.listed(ask.caller, dict(ask.query), page)
    link = next_page(ask.address, ask.link(page), found[-1].id) if len(found) >= page.limit else {}
    return Answer([one.shown() for one in found], 200, link)


def new_metric(ask: Ask) -> Answer:
    made = ask.gnocchi.metrics.create(ask.caller, ask.body())
    return Answer(made.shown(), 201, location(ask.v1 + "/metric", made.id))


def which(ask: Ask) -> Metric:
    """The metric that a path names: by its id, or by its name among a resource's. Raises Missing."""
    if "metric" in ask.parts:
        return ask.gnocchi.metrics.get(ask.parts["metric"])
    identity = ask.gnocchi.resources.identity(ask.caller, ask.parts["id"])
    return ask.gnocchi.metrics.named(ask.parts["type"], identity, ask.parts["name"])


def metric(ask: Ask) -> Answer:
    return Answer(ask.gnocchi.metrics.shown(ask.caller, which(ask)).shown())


def move_metric(ask: Ask) -> Answer:
    return Answer(ask.gnocchi.metrics.move(ask.caller, which(ask), ask.body()).shown())


def drop_metric(ask: Ask) -> Answer:
    ask.gnocchi.metrics.delete(ask.caller, which(ask))
    return Answer()


def measures(ask: Ask) -> Answer:
    found, resample, question = which(ask), ask.resample(), ask.question(overlap=False)
    ask.flag("refresh")  # everything that was acknowledged is in the answer anyway
    return Answer(
        ask.gnocchi.measures.get(
            ask.caller,
            found,
            method=ask.query.get("aggregation", "mean"),
            granularity_ns=question.granularity_ns,
            start_ns=question.start_ns,
            stop_ns=question.stop_ns,
            resample=resample,
        )
    )


def post_measures(ask: Ask) -> Answer:
    return told(ask.gnocchi.measures.post(ask.caller, which(ask), ask.body()))


def batch(ask: Ask) -> Answer:
    ask.expect()
    written = ask.gnocchi.measures.post_plain(ask.caller, ask.raw)
    return told(written or ask.gnocchi.measures.post_batch(ask.caller, ask.body()))


def batch_named(ask: Ask) -> Answer:
    body, create = ask.body(), ask.flag("create_metrics")
    return told(ask.gnocchi.measures.post_named(ask.caller, body, create=create))
