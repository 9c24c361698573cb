"""Run by the peers' Python: Aodh's evaluators of Gnocchi's alarms; prints what each rule came to as JSON.

python aodh_evaluate.py CONFIGURATION < [[evaluator's class, rule, start, end]]
"""

import json
import sys

from aodh import service
from aodh.evaluator import gnocchi, threshold

conf = service.prepare_service(argv=[], config_files=[sys.argv[1]])
found = []
for name, rule, start, end in json.load(sys.stdin):
    evaluator = getattr(gnocchi, name)(conf)
    evaluator._bound_duration = lambda rule, start=start, end=end: (start, end)
    try:
        state, trending, statistics, outside, reason = evaluator.evaluate_rule(rule)
        found.append([state or trending, statistics])
    except threshold.InsufficientDataError as error:
        found.append(["insufficient data", error.reason])
print(json.dumps(found))
