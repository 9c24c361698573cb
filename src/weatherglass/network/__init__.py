"""Topology → a flow pipeline, pure → Open vSwitch: containers and machines on their tenants' own networks."""
