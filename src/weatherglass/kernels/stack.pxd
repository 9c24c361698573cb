# What the head calls in C; the rest is in stack.py.
cdef struct State:
    long long integer  # of the newest value on the stack
    long long difference  # the last one that a STEEP block ended with
    unsigned int stream
    unsigned int place  # where in the stream the next sample belongs
    unsigned char scale

cdef enum:
    MOST = 400  # bytes of one block and of all that stands above it

cdef int encode(State* state, bint fresh, double* v, int n, unsigned char* out) noexcept nogil
cdef int jump(State* state, unsigned char* out) noexcept nogil
cdef Py_ssize_t decode(unsigned char* p, Py_ssize_t top, State* state, double* v, int* count) noexcept nogil
