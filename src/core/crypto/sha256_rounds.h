/*
 * The 64 rounds over vectors of 32-bit words, one word per lane: the part that AVX2 and
 * AVX-512 have in common. Included once by each kernel, which defines before:
 *
 *   VEC             the vector type            LANES    words in it
 *   ADD(a, b)  SPLAT(word)  LOAD(p)  STORE(p, v)
 *   CH(e, f, g)  MAJ(a, b, c)
 *   SIGMA(x, i, j, k)        x ror i ^ x ror j ^ x ror k
 *   SMALL_SIGMA(x, i, j, k)  x ror i ^ x ror j ^ x >> k
 *   load_words(w, lane, at)  words w[0..15] of the block at lane[..] + at
 *   AFTER_ROUND(i)           optional: what is done beside round i of each sixteen
 */
#ifndef AFTER_ROUND
#define AFTER_ROUND(i) ((void)0)
#endif

/* GCC would change the order of the additions, which makes the critical path from round
 * to round longer. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-reassoc")
#endif

/* This round uses w[i] for the last time; `then` may store the word 16 positions later
 * there. */
#define ROUND(a, b, c, d, e, f, g, h, i, then)                        \
    do {                                                              \
        VEC t = ADD(ADD(ADD(h, w[i]), ADD(SPLAT(k[i]), CH(e, f, g))), \
                    SIGMA(e, 6, 11, 25));                             \
        d = ADD(d, t);                                                \
        h = ADD(t, ADD(SIGMA(a, 2, 13, 22), MAJ(a, b, c)));           \
        then(i);                                                      \
        AFTER_ROUND(i);                                               \
    } while (0)

/* After eight rounds every variable has its original position again. */
#define EIGHT_ROUNDS(i, then)                         \
    do {                                              \
        ROUND(a, b, c, d, e, f, g, h, (i) + 0, then); \
        ROUND(h, a, b, c, d, e, f, g, (i) + 1, then); \
        ROUND(g, h, a, b, c, d, e, f, (i) + 2, then); \
        ROUND(f, g, h, a, b, c, d, e, (i) + 3, then); \
        ROUND(e, f, g, h, a, b, c, d, (i) + 4, then); \
        ROUND(d, e, f, g, h, a, b, c, (i) + 5, then); \
        ROUND(c, d, e, f, g, h, a, b, (i) + 6, then); \
        ROUND(b, c, d, e, f, g, h, a, (i) + 7, then); \
    } while (0)

#define EXTEND(i)                                             \
    (w[i] = ADD(ADD(w[i], w[((i) + 9) & 15]),                 \
                ADD(SMALL_SIGMA(w[((i) + 1) & 15], 7, 18, 3), \
                    SMALL_SIGMA(w[((i) + 14) & 15], 17, 19, 10))))
#define NOTHING(i)    ((void)(i))
#define ADD_TO(at, v) STORE(at, ADD(LOAD(at), v))

/* Processes one block of every lane. `w` is working space for 16 vectors. */
#define COMPRESS_BLOCK(state, lane, at)                                                \
    do {                                                                               \
        const uint32_t *k = p2p_sha256_k;                                              \
        VEC a = LOAD(state), b = LOAD((state) + LANES), c = LOAD((state) + 2 * LANES), \
            d = LOAD((state) + 3 * LANES), e = LOAD((state) + 4 * LANES),              \
            f = LOAD((state) + 5 * LANES), g = LOAD((state) + 6 * LANES),              \
            h = LOAD((state) + 7 * LANES);                                             \
        load_words(w, lane, at);                                                       \
        for (; k < p2p_sha256_k + 48; k += 16) {                                       \
            EIGHT_ROUNDS(0, EXTEND);                                                   \
            EIGHT_ROUNDS(8, EXTEND);                                                   \
        }                                                                              \
        EIGHT_ROUNDS(0, NOTHING);                                                      \
        EIGHT_ROUNDS(8, NOTHING);                                                      \
        ADD_TO(state, a), ADD_TO((state) + LANES, b);                                  \
        ADD_TO((state) + 2 * LANES, c), ADD_TO((state) + 3 * LANES, d);                \
        ADD_TO((state) + 4 * LANES, e), ADD_TO((state) + 5 * LANES, f);                \
        ADD_TO((state) + 6 * LANES, g), ADD_TO((state) + 7 * LANES, h);                \
    } while (0)
