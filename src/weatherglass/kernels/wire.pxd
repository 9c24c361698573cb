# What other kernels call in C; the rest is in wire.py.
cdef unsigned long long hash_bytes(unsigned char* p, Py_ssize_t n) noexcept nogil
