/*
 * links - the one-time secrets in the links that open the dashboard for its owner.
 *
 * A secret lives 10 minutes and works once. Only its hash is kept, and only in memory:
 * a link does not survive a restart. Of more than UI_LINKS_MAX at a time the oldest is
 * forgotten. Time comes in as an argument (seconds, monotonic). Thread-safe.
 */
#ifndef P2P_UI_LINKS_H
#define P2P_UI_LINKS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "p2p/crypto.h"
#include "p2p/lock.h"

#define UI_LINK_LEN    64 /* hex digits, without a NUL */
#define UI_LINK_LIFE_S 600
#define UI_LINKS_MAX   16

P2P_MUTEX_KIND(ui_links_lock);
struct ui_links {
    struct ui_links_lock lock;
    struct {
        struct p2p_digest hash;
        uint64_t expires_s; /* 0: no link */
    } at[UI_LINKS_MAX] P2P_GUARDED_BY(ui_links_lock);
};

/* Of a struct in the caller's memory. */
void ui_links_init(struct ui_links *links);
/* Wipes it. */
void ui_links_clear(struct ui_links *links);

/* Creates a new secret. Wipe it after use. */
P2P_MUST_CHECK enum p2p_err ui_links_make(struct ui_links *links, uint64_t now_s,
                                          char secret[UI_LINK_LEN + 1]);
/* True if the secret is valid; it is used up then. */
bool ui_links_take(struct ui_links *links, uint64_t now_s, const char *secret);

#endif
