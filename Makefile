# Two commands do everything on a fresh Debian machine: `make run` and `make test`.
# What is missing is installed: Debian packages when root, a venv, PyPI packages pinned in constraints.txt.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
PY := .venv/bin/python
SITE ?= examples/first-light/site.yaml
STATE ?= .state/first-light
LISTEN ?= 127.0.0.1:8700
PYTEST_ARGS ?=

# What building needs, what the example runs on, what the tests drive or compare with.
APT_BUILD := python3-venv python3-dev gcc libc6-dev
APT_RUN := podman runc conmon netavark aardvark-dns mmdebstrap e2fsprogs util-linux iproute2 procps
# Where npm is there already, Debian's would quarrel with it.
NODE := $(shell command -v npm >/dev/null || echo nodejs npm)
APT_TEST := chromium fonts-dejavu-core prometheus mariadb-server keystone busybox-static faketime e2fsprogs iproute2 git \
  victoria-metrics prometheus-alertmanager prometheus-openstack-exporter prometheus-libvirt-exporter \
  ceph-grafana-dashboards dnsmasq-base knot rsyslog rsyslog-elasticsearch openssl $(NODE) redis-server redis-tools \
  nova-api nova-conductor nova-scheduler nova-compute glance-api neutron-server placement-api \
  nfs-ganesha nfs-ganesha-vfs libnfs13 libnfs-utils libnfs-dev nftables \
  rabbitmq-server uwsgi-plugin-python3 cinder-api cinder-scheduler cinder-volume python3-cloudkitty munge \
  slurm-wlm fastp megahit prodigal hmmer infernal samtools bwa openvswitch-switch ovn-central ovn-host ethtool iputils-ping
PEERS := openstack logs elastalert science extrap
ELASTICDUMP := 6.125.1

.PHONY: help setup run test test-all lint format bench peers clean

help: ## Say what can be made
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# Installs $(1) when root and something of it is missing; says so plainly when not root.
define apt_install
	@missing=$$(for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then \
	    echo "installing Debian packages:" $$missing; \
	    export DEBIAN_FRONTEND=noninteractive; \
	    printf '#!/bin/sh\nexit 101\n' > /tmp/weatherglass-policy-rc.d; chmod +x /tmp/weatherglass-policy-rc.d; \
	    [ -e /usr/sbin/policy-rc.d ] || { install -m 755 /tmp/weatherglass-policy-rc.d /usr/sbin/policy-rc.d; ours=1; }; \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing >/tmp/weatherglass-apt.log 2>&1; rc=$$?; \
	    [ -z "$$ours" ] || rm -f /usr/sbin/policy-rc.d; \
	    [ $$rc = 0 ] || { tail -n 20 /tmp/weatherglass-apt.log; exit $$rc; }; \
	  else echo "not root: going on without these Debian packages:" $$missing; fi; \
	fi
endef

.stamps/venv: constraints.txt pyproject.toml setup.py
	@mkdir -p .stamps
	$(call apt_install,$(APT_BUILD))
	@command -v cc >/dev/null || { echo "no C compiler: install gcc (Debian: apt-get install gcc python3-dev), then make setup again"; exit 1; }
	@[ -x $(PY) ] || python3 -m venv .venv
	@echo "installing Python packages"
	@.venv/bin/pip install -q --disable-pip-version-check -c constraints.txt -U 'setuptools>=75' wheel Cython 2>&1 | { grep -v '^WARNING: Location' || true; }
	@.venv/bin/pip install -q --disable-pip-version-check --no-build-isolation -c constraints.txt -e '.[server,dev,pipelines,client]' 2>&1 | { grep -v '^WARNING: Location' || true; }
	@.venv/bin/weatherglass --version >/dev/null
	@touch $@

.stamps/kernels: .stamps/venv $(wildcard src/weatherglass/kernels/*.py)
	@echo "compiling the kernels"
	@$(PY) setup.py -q build_ext --inplace >.stamps/kernels.log 2>&1 || { tail -n 20 .stamps/kernels.log; exit 1; }
	@$(PY) -c 'import weatherglass.kernels'
	@touch $@

# What tests compare with or drive, each in an environment of its own: their needs clash with ours.
.stamps/peer-%: peers/%.txt
	@mkdir -p .stamps .peers
	@[ -x .peers/$*/bin/python ] || python3 -m venv .peers/$*
	@echo "installing the peers in .peers/$*"
	@.peers/$*/bin/pip install -q --disable-pip-version-check -r peers/$*.txt 2>&1 | { grep -v '^WARNING: Location' || true; }
	@touch $@

# Debian lets syslog-ng and rsyslog not be installed together: the second is unpacked.
.stamps/syslog-ng:
	@mkdir -p .stamps .peers/syslog-ng
	@work=$$(mktemp -d) && cd $$work && apt-get download -qq syslog-ng-core syslog-ng-mod-http >/dev/null 2>&1 \
	  && for deb in *.deb; do dpkg -x $$deb $(CURDIR)/.peers/syslog-ng; done || echo "going on without syslog-ng"; rm -rf $$work
	@touch $@

# A client that comes from npm alone.
.stamps/elasticdump:
	@mkdir -p .stamps .peers
	@if command -v npm >/dev/null; then echo "installing elasticdump in .peers/elasticdump"; \
	  npm install --silent --no-fund --no-audit --prefix .peers/elasticdump elasticdump@$(ELASTICDUMP) >.stamps/elasticdump.log 2>&1 || tail -n 5 .stamps/elasticdump.log; \
	else echo "going on without elasticdump: npm is not installed"; fi
	@touch $@

peers: .stamps/venv $(PEERS:%=.stamps/peer-%) .stamps/syslog-ng .stamps/elasticdump ## What the tests compare with, under .peers/

setup: .stamps/kernels ## Make .venv/bin/weatherglass and compile the kernels

run: setup ## Run the example institute in the foreground; prints READY with the portal's address
	$(call apt_install,$(APT_RUN))
	@exec .venv/bin/weatherglass up $(SITE) --state $(STATE) --listen $(LISTEN)

test: setup ## Everything but what takes over ten minutes
	$(call apt_install,$(APT_RUN) $(APT_TEST))
	@$(MAKE) --no-print-directory peers
	@$(PY) -m pytest -m "not long" $(PYTEST_ARGS)

test-all: setup ## The long drills as well
	$(call apt_install,$(APT_RUN) $(APT_TEST) qemu-system-x86)
	@$(MAKE) --no-print-directory peers
	@$(PY) -m pytest $(PYTEST_ARGS)

lint: setup ## ruff, mypy --strict on the pure parts, the import contracts
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo 2>/dev/null || .venv/bin/lint-imports

format: setup ## Format and mend what can be mended
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

bench: setup ## The figures of docs/performance.md, peers started in the same run
	$(call apt_install,$(APT_RUN) $(APT_TEST))
	@$(MAKE) --no-print-directory peers
	@$(PY) -m benchmarks

bench-%: setup ## One room's figures: bench-metrics, bench-logs, …
	$(call apt_install,$(APT_RUN) $(APT_TEST))
	@$(MAKE) --no-print-directory peers
	@$(PY) -m benchmarks --room $*

clean: ## Remove what make made (not the state)
	rm -rf .stamps .peers build .venv *.egg-info
	find src -name '*.so' -delete
