/*
 * Text in the form for searches: without case and accents. Also the stored form of a
 * name, which is "folded NUL spelling NUL"; the spelling is left empty if it equals the
 * folded text.
 */
#ifndef P2P_DISCOVERY_FOLD_H
#define P2P_DISCOVERY_FOLD_H

#include <stddef.h>
#include <string.h>

/* A folded text is at most this many times as long as the original. */
#define FOLD_GROWTH 3

/*
 * Folds valid UTF-8 of `len` bytes into out (len * FOLD_GROWTH + 1 bytes); returns the
 * length. Case, accents, combining marks, full-width forms; ligatures are spelled out.
 */
size_t fold_text(const char *in, size_t len, char *out);

/* Writes the stored form to out (len * (FOLD_GROWTH + 1) + 2 bytes); returns its
 * size. */
size_t fold_store(const char *in, size_t len, char *out);

static inline const char *
fold_spelling(const char *stored)
{
    const char *spelling = stored + strlen(stored) + 1;

    return *spelling != '\0' ? spelling : stored;
}

#endif
