"""How long it takes to compile and prove a policy of many tenants, for Lustre and for nfs-ganesha.

    python -m benchmarks.shares_verify [--tenants 200,2000]

CPU-seconds of one process; every tenant has a network of 256 addresses, each third one maps of eight users; twenty
routers. Proving asks every boundary of NID × id × path × operation, and after every command what an attacker gets.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

from weatherglass.shares import ganesha, nfsproof, proof
from weatherglass.shares.lustre.compile import commands, text
from weatherglass.shares.nids import Range, dotted, read_range
from weatherglass.shares.policy import NFS, FileSystem, Router, Share


def many(count: int) -> FileSystem:
    """A policy of so many tenants behind twenty routers."""
    shares, legs = [], [dict[str, str]() for _ in range(20)]
    for number in range(count):
        low = (10 << 24) + (64 << 16) + number * 256
        one = Range(low, low + 255, f"tcp{1000 + number}")
        legs[number % 20][one.net] = f"{dotted(low + 254)}@{one.net}"
        first = 100_000 + 100 * number
        maps = {1000 + step: first + 1 + step for step in range(8)} if number % 3 == 0 else {}
        shares.append(
            Share(f"t{number}", f"/t{number}", first, first, (one,), f"r{number % 20}", uids=maps, gids=maps)
        )
    routers = {f"r{at}": Router(f"r{at}", f"10.0.0.{20 + at}@tcp0", own) for at, own in enumerate(legs)}
    return FileSystem("lus01", (2, 15), (read_range("10.0.0.[0-7]@tcp0"),), tuple(shares), routers)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip())
    parser.add_argument("--tenants", default="200,2000")
    options = parser.parse_args()
    print(f"{'':>10} {'tenants':>8} {'compile':>9} {'prove':>9} {'cases':>9}  (CPU-s)")
    for count in map(int, options.tenants.split(",")):
        lustre = many(count)
        plain = tuple(replace(one, uids={}, gids={}) for one in lustre.shares)
        nfs = replace(lustre, version=NFS, servers=(), shares=plain)
        for name, fs in (("lustre", lustre), ("ganesha", nfs)):
            began = time.process_time()
            made = ganesha.compiled(fs) if fs.nfs else text(commands(fs))
            compiled = time.process_time()
            verdict = nfsproof.prove(fs, made) if fs.nfs else proof.prove(fs, made)
            done = time.process_time()
            assert verdict.proven, str(verdict.findings[0])
            print(
                f"{name:>10} {count:>8} {compiled - began:>9.2f} {done - compiled:>9.2f} {verdict.cells:>9}"
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
