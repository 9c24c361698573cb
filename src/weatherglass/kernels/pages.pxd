# Memory straight from the system, inline: it grows without being copied, and goes back whole when it is given up.
# malloc raises its own threshold for that with use, up to 32 MiB, and keeps what lies below.
cdef extern from "<sys/mman.h>" nogil:
    void* mmap(void*, size_t, int, int, int, long)
    void* mremap(void*, size_t, size_t, int)
    int munmap(void*, size_t)
    int PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS, MREMAP_MAYMOVE
    void* MAP_FAILED

cdef inline size_t whole(size_t size) noexcept nogil:
    return (size + 4095) & ~(<size_t> 4095)

cdef inline void* grow(void* p, size_t before, size_t size) noexcept nogil:
    """`size` bytes, the first `before` as they were, the rest zero; NULL without memory."""
    cdef void* found
    if p == NULL:
        found = mmap(NULL, whole(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    elif whole(size) == whole(before):
        return p
    else:
        found = mremap(p, whole(before), whole(size), MREMAP_MAYMOVE)
    return NULL if found == MAP_FAILED else found

cdef inline void give(void* p, size_t size) noexcept nogil:
    if p != NULL:
        munmap(p, whole(size))
