"""What each OpenStack service is told: its configuration as text, for free ports and one folder. Pure, no test here.

Debian 12's packages (Zed), with nova's own fake hypervisor and the Open vSwitch driver of neutron, whose agents are
played by `agents.py`. Times after which a silent service counts as down are seconds, so that a test can wait for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

DATABASES = ("keystone", "glance", "placement", "neutron", "nova_api", "nova", "nova_cell0", "cinder")
APIS = ("keystone", "glance", "placement", "neutron", "nova", "cinder")
PASSWORD = "not-a-secret"

# The catalogue: service → its type and the path behind its port.
CATALOGUE = {
    "keystone": ("identity", "/v3"),
    "glance": ("image", ""),
    "placement": ("placement", ""),
    "neutron": ("network", ""),
    "nova": ("compute", "/v2.1"),
    "cinder": ("volumev3", "/v3/%(tenant_id)s"),
}


def ini(sections: Mapping[str, Mapping[str, object]]) -> str:
    """Sections and their options as oslo.config reads them."""
    return "\n".join(
        f"[{section}]\n" + "".join(f"{name} = {value}\n" for name, value in options.items())
        for section, options in sections.items()
    )


def credentials(user: str, ports: Mapping[str, int]) -> dict[str, object]:
    """How a service logs in to keystone."""
    return {
        "auth_type": "password",
        "auth_url": f"http://127.0.0.1:{ports['keystone']}/v3",
        "username": user,
        "password": PASSWORD,
        "project_name": "service",
        "user_domain_name": "Default",
        "project_domain_name": "Default",
        "region_name": "RegionOne",
    }


def middleware(user: str, ports: Mapping[str, int]) -> dict[str, object]:
    """How a service has tokens checked by keystone."""
    return {
        **credentials(user, ports),
        "www_authenticate_uri": f"http://127.0.0.1:{ports['keystone']}/v3",
        "service_token_roles_required": "true",
        "service_token_roles": "service,admin",
    }


def database(name: str, folder: Path) -> str:
    return f"mysql+pymysql://root@localhost/{name}?unix_socket={folder}/db.sock&charset=utf8"


def rabbit(ports: Mapping[str, int]) -> str:
    return f"rabbit://guest:guest@127.0.0.1:{ports['rabbitmq']}/"


def mariadb(folder: Path) -> str:
    """Small and forgetful: what a power cut takes is of no matter here."""
    return ini(
        {
            "mariadbd": {
                "datadir": folder / "db",
                "socket": folder / "db.sock",
                "pid-file": folder / "db.pid",
                "log-error": folder / "log" / "mariadb.log",
                "tmpdir": folder / "tmp",
                "user": "root",
                "skip-networking": "1",
                "innodb_log_file_size": "16M",
                "innodb_buffer_pool_size": "96M",
                "innodb_flush_log_at_trx_commit": "0",
                "innodb_flush_method": "nosync",
                "innodb_doublewrite": "0",
                "max_connections": "500",
                "character-set-server": "utf8mb3",
                "performance_schema": "OFF",
            }
        }
    )


def services(folder: Path, ports: Mapping[str, int]) -> dict[str, str]:
    """File name → text, for the folder `etc`."""
    logs = folder / "log"

    def common(name: str) -> dict[str, object]:
        return {"log_file": logs / f"{name}.log", "debug": "false", "transport_url": rabbit(ports)}

    lock = {"lock_path": folder / "lock"}
    return {
        "mariadb.cnf": mariadb(folder),
        "keystone.conf": ini(
            {
                "DEFAULT": {"log_file": logs / "keystone.log", "debug": "false"},
                "database": {"connection": database("keystone", folder)},
                "token": {"provider": "fernet"},
                "fernet_tokens": {"key_repository": folder / "keys" / "fernet"},
                "fernet_receipts": {"key_repository": folder / "keys" / "fernet"},
                "credential": {"key_repository": folder / "keys" / "credential"},
                "identity": {"password_hash_rounds": 4},
                "cache": {"enabled": "true", "backend": "oslo_cache.dict", "expiration_time": 60},
            }
        ),
        "glance.conf": ini(
            {
                "DEFAULT": {
                    "log_file": logs / "glance.log",
                    "bind_host": "127.0.0.1",
                    "bind_port": ports["glance"],
                    "workers": 0,
                    "enabled_backends": "fs:file",
                },
                "glance_store": {"default_backend": "fs"},
                "fs": {"filesystem_store_datadir": folder / "images"},
                "os_glance_tasks_store": {"filesystem_store_datadir": folder / "state" / "tasks"},
                "os_glance_staging_store": {"filesystem_store_datadir": folder / "state" / "staging"},
                "database": {"connection": database("glance", folder)},
                "paste_deploy": {"flavor": "keystone", "config_file": "/etc/glance/glance-api-paste.ini"},
                "oslo_concurrency": lock,
                "keystone_authtoken": middleware("glance", ports),
            }
        ),
        "placement.conf": ini(
            {
                "DEFAULT": {"log_file": logs / "placement.log"},
                "api": {"auth_strategy": "keystone"},
                "placement_database": {"connection": database("placement", folder)},
                "keystone_authtoken": middleware("placement", ports),
            }
        ),
        "neutron.conf": ini(
            {
                "DEFAULT": {
                    **common("neutron"),
                    "bind_host": "127.0.0.1",
                    "bind_port": ports["neutron"],
                    "state_path": folder / "state",
                    "core_plugin": "ml2",
                    "service_plugins": "router",
                    "auth_strategy": "keystone",
                    "api_workers": 1,
                    "rpc_workers": 0,
                    "rpc_state_report_workers": 0,
                    "agent_down_time": 10,
                    "notify_nova_on_port_status_changes": "false",
                    "notify_nova_on_port_data_changes": "false",
                    "api_paste_config": "/etc/neutron/api-paste.ini",
                },
                "agent": {"report_interval": 3},
                "database": {"connection": database("neutron", folder)},
                "ml2": {
                    "type_drivers": "local,flat,vxlan",
                    "tenant_network_types": "vxlan",
                    "mechanism_drivers": "openvswitch",
                    "extension_drivers": "port_security",
                },
                "ml2_type_flat": {"flat_networks": "physnet1"},
                "ml2_type_vxlan": {"vni_ranges": "1:1000"},
                "oslo_concurrency": lock,
                "keystone_authtoken": middleware("neutron", ports),
            }
        ),
        "nova.conf": nova(folder, ports, "fake1"),
        "nova-fake2.conf": nova(folder, ports, "fake2"),
        "cinder.conf": ini(
            {
                "DEFAULT": {
                    "log_dir": logs,
                    "transport_url": rabbit(ports),
                    "osapi_volume_listen": "127.0.0.1",
                    "osapi_volume_listen_port": ports["cinder"],
                    "osapi_volume_workers": 1,
                    "state_path": folder / "state",
                    "auth_strategy": "keystone",
                    "enabled_backends": "fakes",
                    "report_interval": 3,
                    "service_down_time": 10,
                    "api_paste_config": "/etc/cinder/api-paste.ini",
                    "glance_api_servers": f"http://127.0.0.1:{ports['glance']}",
                    "host": "vol1",
                },
                "fakes": {
                    "volume_driver": "cinder.tests.fake_driver.FakeLoggingVolumeDriver",
                    "volume_backend_name": "fakes",
                },
                "database": {"connection": database("cinder", folder)},
                "oslo_concurrency": lock,
                "keystone_authtoken": middleware("cinder", ports),
                "service_user": {**credentials("cinder", ports), "send_service_user_token": "true"},
                "nova": credentials("nova", ports),
            }
        ),
        "clouds.yaml": clouds(ports),
    }


def nova(folder: Path, ports: Mapping[str, int], host: str) -> str:
    as_user = {name: credentials(name, ports) for name in ("placement", "neutron", "cinder", "nova")}
    return ini(
        {
            "DEFAULT": {
                "log_dir": folder / "log" if host == "fake1" else folder / "log" / host,
                "transport_url": rabbit(ports),
                "state_path": folder / "state" / host,
                "compute_driver": "fake.FakeDriver",
                "vif_plugging_is_fatal": "false",
                "vif_plugging_timeout": 0,
                "my_ip": "127.0.0.1",
                "host": host,
                "enabled_apis": "osapi_compute",
                "osapi_compute_listen": "127.0.0.1",
                "osapi_compute_listen_port": ports["nova"],
                "osapi_compute_workers": 1,
                "report_interval": 3,
                "service_down_time": 10,
                "periodic_fuzzy_delay": 0,  # else the scheduler finds its hosts up to a minute late
                "sync_power_state_interval": 5,
            },
            "api": {"auth_strategy": "keystone"},
            "api_database": {"connection": database("nova_api", folder)},
            "database": {"connection": database("nova", folder)},
            "glance": {"api_servers": f"http://127.0.0.1:{ports['glance']}"},
            "oslo_concurrency": {"lock_path": folder / "lock"},
            "wsgi": {"api_paste_config": "/etc/nova/api-paste.ini"},
            "conductor": {"workers": 1},
            "scheduler": {"workers": 1, "discover_hosts_in_cells_interval": 3},
            "filter_scheduler": {"track_instance_changes": "false"},
            "keystone_authtoken": middleware("nova", ports),
            "placement": as_user["placement"],
            "neutron": as_user["neutron"],
            "cinder": {**as_user["nova"], "catalog_info": "volumev3::publicURL"},
            "service_user": {**as_user["nova"], "send_service_user_token": "true"},
        }
    )


def clouds(ports: Mapping[str, int]) -> str:
    """clouds.yaml with the administrator (`admin`) and a project's member (`demo`)."""
    url = f"http://127.0.0.1:{ports['keystone']}/v3"
    lines = ["clouds:"]
    for name in ("admin", "demo"):
        lines += [
            f"  {name}:",
            f"    auth: {{auth_url: '{url}', username: {name}, password: {PASSWORD}, project_name: {name}, "
            "user_domain_name: Default, project_domain_name: Default}",
            "    region_name: RegionOne",
            "    identity_api_version: 3",
        ]
    return "\n".join(lines) + "\n"
