# What `tokens` builds on; the rest is in looks.py.
cdef unsigned char[256] _class


cdef class Looks:
    cdef const unsigned char* p
    cdef Py_ssize_t n
    cdef int count
    cdef int vars
    cdef bint cut
    cdef bint unbalanced
    cdef Py_ssize_t* begin
    cdef Py_ssize_t* end
    cdef unsigned long long* hash
    cdef int* var_first
    cdef unsigned char* soft
    cdef Py_ssize_t* var_begin
    cdef Py_ssize_t* var_end
    cdef unsigned char* var_type
    cdef int variable(self, Py_ssize_t begin, Py_ssize_t end, int type) noexcept
    cdef bint hollow(self, unsigned char a, unsigned char b) noexcept
    cdef Py_ssize_t instance(self, Py_ssize_t at) noexcept
    cdef Py_ssize_t literal(self, Py_ssize_t at) noexcept
    cdef Py_ssize_t clock(self, Py_ssize_t at) noexcept
    cdef Py_ssize_t calendar(self, Py_ssize_t at) noexcept
    cdef bint named(self, Py_ssize_t at, bint weekday) noexcept
    cdef Py_ssize_t special(self, Py_ssize_t at) noexcept
    cdef bint hostname(self, Py_ssize_t at, Py_ssize_t end) noexcept
