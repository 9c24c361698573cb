"""Tenants' shares: a policy → Lustre and NFS → the proof that each tenant is kept to its part."""
