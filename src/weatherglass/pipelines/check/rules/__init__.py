"""The rules, as tables by theme. A new rule is a row (docs/pipelines.md lists them; a test holds it to this)."""

from weatherglass.pipelines.check.findings import Rule
from weatherglass.pipelines.check.rules import clouds, places, running, site, software

RULES: dict[str, Rule] = {
    rule.name: rule for rule in (*places.RULES, *site.RULES, *software.RULES, *running.RULES, *clouds.RULES)
}
