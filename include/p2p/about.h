/*
 * about - the claims of a device about itself: a name for people, and its kind. They
 * are only claims: the id is proven, the name is not. One rule decides which names are
 * valid, wherever they come from. Pure: no file, no socket.
 */
#ifndef P2P_ABOUT_H
#define P2P_ABOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_ABOUT_NAME_MAX 63 /* bytes, without the NUL */

/* As the numbers of INFO (docs/PROTOCOL.md). */
enum p2p_about_kind {
    P2P_ABOUT_UNKNOWN,
    P2P_ABOUT_LAPTOP,
    P2P_ABOUT_DESKTOP,
    P2P_ABOUT_PHONE,
    P2P_ABOUT_SERVER,
    P2P_ABOUT_TABLET,
};

struct p2p_about {
    enum p2p_about_kind kind;
    char name[P2P_ABOUT_NAME_MAX + 1]; /* "" when it has none */
};

/* "laptop", "desktop", "phone", "server", "tablet"; else "unknown". */
const char *p2p_about_kind_name(enum p2p_about_kind kind);
/* The kind of such a word. USAGE for another word. */
P2P_MUST_CHECK enum p2p_err p2p_about_kind_parse(const char *word,
                                                 enum p2p_about_kind *kind);
/* A number from outside: one that is not known yet becomes UNKNOWN. */
enum p2p_about_kind p2p_about_kind_of(uint64_t number);

/* True if a text can be shown to people unchanged: UTF-8 without control characters,
 * without characters that hide or reorder others, and without spaces at its ends. Also
 * true for an empty text. */
bool p2p_text_is_displayable(const void *text, size_t len);

/* P2P_OK if `name` is a valid name of a device: 1 to P2P_ABOUT_NAME_MAX printable
 * bytes. Else NAME. */
P2P_MUST_CHECK enum p2p_err p2p_about_name_check(const void *name, size_t len);
/* Sets the name if it is valid, else "". True if it was set. */
bool p2p_about_set_name(struct p2p_about *about, const void *name, size_t len);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
