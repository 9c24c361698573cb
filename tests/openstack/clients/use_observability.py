"""Run by the peers' Python: python-observabilityclient as a user of the cloud; prints what it was told as JSON.

python use_observability.py AUTH_URL USER PASSWORD PROJECT < ["query", …]
"""

import json
import sys

from keystoneauth1 import session
from keystoneauth1.exceptions.http import Forbidden
from keystoneauth1.identity import v3
from observabilityclient.client import Client

auth_url, user, password, project = sys.argv[1:]
auth = v3.Password(
    auth_url=auth_url, username=user, password=password, project_name=project,
    user_domain_name="Default", project_domain_name="Default",
)  # fmt: skip
client = Client("1", session.Session(auth=auth))
found = {"list": client.query.list(), "queries": []}
for query in json.load(sys.stdin):
    found["queries"].append([[one.labels, one.value] for one in client.query.query(query)])
found["show"] = [one.labels for one in client.query.show("openstack_nova_server_status")]
found["own"] = client.query.list(disable_rbac=False)
found["labels"] = client.prometheus_client.labels()
found["projects"] = client.prometheus_client.label_values("project")
try:
    client.query.delete(['{__name__="openstack_glance_images"}'])
    found["delete"] = "done"
except Forbidden as error:
    found["delete"] = str(error)
print(json.dumps(found))
