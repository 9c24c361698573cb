"""Run by the peers' Python: Aodh's evaluator of Prometheus alarms; prints what each rule came to as JSON.

python aodh_prometheus.py CONFIGURATION < [rule, …]
"""

import json
import sys

from aodh import service
from aodh.evaluator import prometheus, threshold

conf = service.prepare_service(argv=[], config_files=[sys.argv[1]])
evaluator = prometheus.PrometheusEvaluator(conf)
found = []
for rule in json.load(sys.stdin):
    try:
        state, trending, statistics, outside, reason = evaluator.evaluate_rule(rule)
        found.append([state or trending, statistics])
    except threshold.InsufficientDataError as error:
        found.append(["insufficient data", error.reason])
print(json.dumps(found))
