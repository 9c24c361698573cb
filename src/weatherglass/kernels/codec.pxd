# What other kernels call in C; the rest is in codec.py.
cdef Py_ssize_t values_bound(Py_ssize_t n) noexcept nogil
cdef Py_ssize_t times_bound(Py_ssize_t n) noexcept nogil
cdef Py_ssize_t put_values(double* v, Py_ssize_t n, unsigned char* out, long long* work) noexcept nogil
cdef Py_ssize_t get_values(unsigned char* p, Py_ssize_t size, double* v, Py_ssize_t n) noexcept nogil
cdef Py_ssize_t put_times(long long* t, Py_ssize_t n, unsigned char* out, long long* work) noexcept nogil
cdef Py_ssize_t get_times(unsigned char* p, Py_ssize_t size, long long* t, Py_ssize_t n) noexcept nogil
cdef bint exact(double v, int scale, long long* out) noexcept nogil
cdef double power_of(int scale) noexcept nogil
