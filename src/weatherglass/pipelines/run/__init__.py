"""Run a pipeline with an engine, measure every task, keep a record from which the run can be repeated."""
