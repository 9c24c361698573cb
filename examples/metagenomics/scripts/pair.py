"""Keep the reads that have both mates, in one order. pair.py LEFT RIGHT LEFT_OUT RIGHT_OUT"""

import sys
from pathlib import Path


def reads(path):
    with Path(path).open() as file:
        while head := file.readline():
            yield head.split()[0], head + file.readline() + file.readline() + file.readline()


left, right = (dict(reads(path)) for path in sys.argv[1:3])
both = [name for name in left if name in right]
for found, path in ((left, sys.argv[3]), (right, sys.argv[4])):
    with Path(path).open("w") as out:
        out.writelines(found[name] for name in both)
