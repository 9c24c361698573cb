# What `miner` uses in C; the rest is in tokens.py.
from weatherglass.kernels.looks cimport Looks


cdef class Tokens(Looks):
    cdef unsigned long long structure
    cdef unsigned long long whole
    cdef unsigned long long w_last
    cdef int read(self, const unsigned char* p, Py_ssize_t n) noexcept
    cdef Py_ssize_t runs(self, Py_ssize_t at, Py_ssize_t end) noexcept
