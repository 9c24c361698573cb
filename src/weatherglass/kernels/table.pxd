# The digest that finds a series, in C; the table is in table.py.
from weatherglass.kernels.digest cimport wg_digest, wg_words
