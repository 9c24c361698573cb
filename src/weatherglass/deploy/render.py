"""Templates → text, with Jinja2. In the server alone: agents get what is rendered here.

What only a host knows (secrets' values, where a replica's folders are under its runtime) stays a placeholder
`@@kind:name@@`, put in by the agent (`places.fill`). So one generation is the same on every host and never
holds a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from weatherglass.base.errors import Invalid

VARIABLES = {
    "site": "the site's name",
    "host": "name, address and zone of the replica's host",
    "service": "name and ports of its service",
    "replica": "name, number and host of the replica",
    "ports": "the service's own ports by name",
    "services": "every service: name, ports, hosts (names), addresses, address (the first)",
    "volumes": "folders of the volumes, by name, as the service sees them",
    "paths": "the replica's own folders as the service sees them: run, logs, data",
    "files": "where the service finds each file of its `files:`, by the path declared",
    "secret": "secret('name'): the value, put in on the host",
}
"""What a template may use. The reference page reads this."""


class Places(dict[str, str]):
    """A mapping that a template may read with names that must be known: an unknown one is a plain error."""

    def __init__(self, kind: str, names: Mapping[str, str]) -> None:
        super().__init__(names)
        self.kind = kind

    def __missing__(self, name: str) -> str:
        known = ", ".join(sorted(self)) or "none"
        raise Invalid(f"there is no {self.kind} {name!r} here", mend=f"known: {known}")


def places(kind: str, names: list[str]) -> Places:
    """Placeholders by name: `{"db": "@@volume:db@@"}`."""
    return Places(kind, {name: f"@@{kind}:{name}@@" for name in names})


@dataclass(slots=True)
class Renderer:
    """Renders texts for one replica and keeps which secrets they asked for."""

    variables: Mapping[str, Any]
    secrets: set[str] = field(default_factory=set)

    def text(self, template: str, where: str) -> str:
        """The text of one template. Raises Invalid that names `where` and the template's line."""
        if "{" not in template:
            return template
        try:
            return _ENVIRONMENT.from_string(template).render(self.variables, secret=self._secret)
        except Invalid as error:
            raise Invalid(error.message, where=where, mend=error.mend) from error
        except TemplateSyntaxError as error:
            raise Invalid(
                f"the template does not parse: {error.message}", where=f"{where}:{error.lineno}"
            ) from error
        except (TemplateError, SecurityError, TypeError, ValueError, ArithmeticError) as error:
            mend = f"a template may use {', '.join(VARIABLES)}"
            raise Invalid(f"the template cannot be rendered: {error}", where=where, mend=mend) from error

    def _secret(self, name: str) -> str:
        self.secrets.add(name)
        return f"@@secret:{name}@@"


_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined,
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,
)
