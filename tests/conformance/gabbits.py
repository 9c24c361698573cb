"""Run by the peers' Python: Gnocchi's own gabbi files against servers, a line of JSON in and out for each.

    {"path": FILE, "host": HOST, "port": PORT, "prefix": PREFIX, "environment": {NAME: VALUE}}
    → [[test's name, what went wrong in it]]

gabbi alone is not enough: the files name fixtures that only Gnocchi has, a YAML constructor for NaN, and were
written when `[*]` of an object was the object (jsonpath-ng before 1.6), not its values.
"""

import json
import math
import os
import sys
import types
import unittest

import yaml
from gabbi import fixture, handlers, suitemaker, utils
from jsonpath_ng.jsonpath import DatumInContext, Wildcard


class AssertNAN(yaml.YAMLObject):
    """Equal to NaN alone."""

    def __eq__(self, other):
        return isinstance(other, float) and math.isnan(other)

    __hash__ = None


yaml.add_constructor("!AssertNAN", lambda loader, node: AssertNAN())


class ConfigFixture(fixture.GabbiFixture):
    """The server is there already, with an empty store."""


class Outcomes(unittest.TestResult):
    """[name, what went wrong] of each test, "" where nothing did."""

    def __init__(self):
        super().__init__()
        self.found = []

    def _tell(self, test, text):
        self.found.append([test.test_data["name"], text])

    def addSuccess(self, test):
        self._tell(test, "")

    def addExpectedFailure(self, test, error):
        self._tell(test, "")

    def addUnexpectedSuccess(self, test):
        self._tell(test, "unexpected success")

    def addFailure(self, test, error):
        self._tell(test, self._exc_info_to_string(error, test))

    addError = addFailure

    def addSkip(self, test, reason):
        self._tell(test, f"skipped: {reason}")


def of_old(self, datum, find=Wildcard.find):
    """`[*]` of an object as it was."""
    wrapped = DatumInContext.wrap(datum)
    if isinstance(wrapped.value, dict):
        wrapped = DatumInContext([wrapped.value], path=wrapped.path, context=wrapped.context)
    return find(self, wrapped)


Wildcard.find = of_old


def run(path, host, port, prefix, environment):
    os.environ.update(environment)
    fixtures = types.ModuleType("fixtures")
    fixtures.ConfigFixture = ConfigFixture
    suite = suitemaker.test_suite_from_dict(
        unittest.TestLoader(),
        "gnocchi",
        utils.load_yaml(yaml_file=path, safe=False),
        path.rpartition("/")[0],
        host,
        port,
        fixtures,
        None,
        prefix=prefix,
        handlers=[handler() for handler in handlers.RESPONSE_HANDLERS],
        test_loader_name="gnocchi",
    )
    outcomes = Outcomes()
    suite.run(outcomes)
    return outcomes.found


for line in sys.stdin:
    print(json.dumps(run(**json.loads(line))), flush=True)
