# What other kernels call in C; the rest is in wire.py.
cdef unsigned long long hash_bytes(unsigned char* p, Py_ssize_t n) noexcept nogil
cdef Py_ssize_t varint(unsigned char* b, Py_ssize_t at, Py_ssize_t end, unsigned long long* out) noexcept nogil
cdef Py_ssize_t skip(unsigned char* b, Py_ssize_t at, Py_ssize_t end, int wire) noexcept nogil
cdef Py_ssize_t sample(unsigned char* b, Py_ssize_t at, Py_ssize_t end, long long* time, double* value) noexcept nogil
