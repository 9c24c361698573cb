"""Log files → events in the outbox, each line once, in order, whatever happens to file, agent or server.

- `cursor`: where in which file; how a file is known again (dev, inode, its first bytes).
- `source`: one open file: reading, framing, truncation.
- `generations`: the renamed files of a path, which of them are to be read yet.
- `tailer`: which files there are, their rotations, batches, and the promise below.

The promise. A batch goes into the spool together with the cursors as they stand after it: one record, whole or
not at all. The cursor file is written after that, and names the batch it includes. At a start the cursors of
later batches that are still in the spool are laid over the file's. So an agent killed at any instant neither
reads a line twice nor skips one. Text that was read but not yet given out as an event is before the cursor.

Files are looked at once a second with stat(2): 20 files cost 0.13 ms a round (measured), a hundredth of a per
cent of a core. There is little for inotify to save, and it sees nothing on network and overlay file systems.

Bytes that are not UTF-8 are kept readable: `\\xff` stands for the byte. Escaped surrogates would keep them
exact, but no store and no JSON reader further on takes those. What is lost: that the text had not itself `\\xff`.
"""

from __future__ import annotations

from weatherglass.agent.tail.tailer import Follow, Tailer

__all__ = ["Follow", "Tailer"]
