# What other kernels call in C: zigzag and width, inline, and the packing of packing.py.
cdef extern from *:
    int __builtin_clzll(unsigned long long x) nogil

cdef Py_ssize_t pack(unsigned long long* z, Py_ssize_t n, unsigned char* out) noexcept nogil
cdef Py_ssize_t unpack(unsigned char* p, Py_ssize_t size, unsigned long long* z, Py_ssize_t n) noexcept nogil

cdef inline unsigned long long fold(long long x) noexcept nogil:
    return (<unsigned long long> x << 1) ^ <unsigned long long> (x >> 63)

cdef inline unsigned long long unfold(unsigned long long x) noexcept nogil:
    return (x >> 1) ^ (0 - (x & 1))

cdef inline int width_of(unsigned long long x) noexcept nogil:
    return 64 - __builtin_clzll(x) if x else 0
