"""Cut sequences into as many files, of like length. scatter.py COPIES GENOME CONTIGS -- PART…

Pieces overlap by 200 bases, so that no short RNA is lost at a cut.
"""

import sys
from pathlib import Path

PIECE, OVERLAP = 50_000, 200


def sequences(path):
    name, lines = "", []
    for line in Path(path).read_text().split("\n"):
        if line.startswith(">"):
            if name:
                yield name, "".join(lines)
            name, lines = line[1:].split()[0], []
        else:
            lines.append(line.strip())
    if name:
        yield name, "".join(lines)


mark = sys.argv.index("--")
copies, (genome, contigs), parts = int(sys.argv[1]), sys.argv[2:mark], sys.argv[mark + 1 :]
pieces = [[] for _ in parts]
filled = [0] * len(parts)
for copy in range(copies):
    for path in (genome, contigs) if not copy else (genome,):
        for name, letters in sequences(path):
            for start in range(0, len(letters), PIECE):
                piece = letters[start : start + PIECE + OVERLAP]
                least = filled.index(min(filled))
                filled[least] += len(piece)
                pieces[least].append(f">{name}.{copy}.{start}\n{piece}\n")
for path, some in zip(parts, pieces, strict=True):
    Path(path).write_text("".join(some))
