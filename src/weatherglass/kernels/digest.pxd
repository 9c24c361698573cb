# 128 bits of a key that nobody outside can foresee, inline: two lanes of NH over 64-bit words (Black et al. 1999,
# UMAC), the second by a Toeplitz shift of the same random words. For fixed keys each lane collides with 2^-64.
cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    typedef unsigned __int128 wg_u128;
    static uint64_t wg_words[132];
    static inline uint64_t wg_finish(uint64_t h) {
        h ^= h >> 33; h *= 0xff51afd7ed558ccdULL; h ^= h >> 33; h *= 0xc4ceb9fe1a85ec53ULL; return h ^ (h >> 33);
    }
    static inline void wg_digest(const unsigned char *p, size_t n, unsigned long long *out) {
        uint64_t a = wg_finish(n + 1), b = wg_finish(~(uint64_t) n);
        while (n) {
            wg_u128 x = 0, y = 0;
            size_t m = n < 1024 ? n : 1024, k = 0;
            uint64_t w[2];
            for (; 8 * k + 16 <= m; k += 2) {
                memcpy(w, p + 8 * k, 16);
                x += (wg_u128) (w[0] + wg_words[k]) * (w[1] + wg_words[k + 1]);
                y += (wg_u128) (w[0] + wg_words[k + 2]) * (w[1] + wg_words[k + 3]);
            }
            if (8 * k < m) {
                w[0] = w[1] = 0;
                memcpy(w, p + 8 * k, m - 8 * k);
                x += (wg_u128) (w[0] + wg_words[k]) * (w[1] + wg_words[k + 1]);
                y += (wg_u128) (w[0] + wg_words[k + 2]) * (w[1] + wg_words[k + 3]);
            }
            a = wg_finish(wg_finish(a ^ (uint64_t) x) ^ (uint64_t) (x >> 64));
            b = wg_finish(wg_finish(b ^ (uint64_t) y) ^ (uint64_t) (y >> 64));
            p += m;
            n -= m;
        }
        out[0] = a;
        out[1] = b;
    }
    """
    unsigned long long wg_words[132]
    void wg_digest(unsigned char* p, size_t n, unsigned long long* out) nogil
