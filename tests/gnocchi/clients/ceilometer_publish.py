"""Run by the peers' Python: Ceilometer's upgrade and its gnocchi publisher against a Gnocchi that Keystone names.

python ceilometer_publish.py CONFIGURATION upgrade|samples|changed|deleted
"""

import datetime
import sys
from urllib import parse

from ceilometer import gnocchi_client, sample, service
from ceilometer.event import models
from ceilometer.publisher import gnocchi

conf = service.prepare_service(argv=["publish"], config_files=[sys.argv[1]])
VM = "11111111-2222-3333-4444-555555555555"


def samples(flavor, first):
    for minute in range(3):
        for name, kind, volume in (
            ("cpu", sample.TYPE_CUMULATIVE, 1e9 * (first + minute)),
            ("memory.usage", sample.TYPE_GAUGE, 512.0),
        ):
            yield sample.Sample(
                name=name,
                type=kind,
                unit="ns" if name == "cpu" else "MB",
                volume=volume,
                user_id="u-alice",
                project_id="p-alice",
                resource_id=VM,
                timestamp=f"2026-01-01T00:{first + minute:02}:00",
                resource_metadata={
                    "display_name": "vm",
                    "host": "compute-1",
                    "image_ref": "img",
                    "flavor": {"id": flavor, "name": flavor},
                    "instance_flavor_id": flavor,
                    "server_group": "g",
                },
            )


if sys.argv[2] == "upgrade":
    gnocchi_client.upgrade_resource_types(conf)
else:
    publisher = gnocchi.GnocchiPublisher(
        conf, parse.urlsplit("gnocchi://?archive_policy=ceilometer-low&enable_filter_project=false")
    )
    if sys.argv[2] == "samples":
        publisher.publish_samples(list(samples("small", 0)))
    elif sys.argv[2] == "changed":
        publisher.publish_samples(list(samples("large", 10)))
    else:
        now = datetime.datetime(2026, 1, 1, 1, 0, 0)
        traits = [
            models.Trait("instance_id", models.Trait.TEXT_TYPE, VM),
            models.Trait("state", models.Trait.TEXT_TYPE, "deleted"),
            models.Trait("deleted_at", models.Trait.DATETIME_TYPE, now),
        ]
        publisher.publish_events([models.Event("m", "compute.instance.delete.start", now, traits, {})])
