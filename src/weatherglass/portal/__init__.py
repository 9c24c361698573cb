"""Pages: one package and one template folder a page, server-rendered, reading the rooms and nothing else.

No page computes what is true about the cloud; it tells what `inventory`, `metrics`, `logs`, `deploy` and `ledger`
say. `kit` is what a room to come needs to add its own page.
"""

from weatherglass.portal.app import mount
from weatherglass.portal.kit import Desk, Lens, Page, Visit

__all__ = ["Desk", "Lens", "Page", "Visit", "mount"]
