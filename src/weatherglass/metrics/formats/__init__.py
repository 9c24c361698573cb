"""Other people's forms of samples, each a pure module: bytes or text in, `Taken` out. What carries them is elsewhere."""
