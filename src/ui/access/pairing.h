/*
 * pairing - the 6-digit code that lets another device in, and what stops guessing.
 *
 * A code lives 10 minutes, works once and is given up after 50 wrong tries from
 * anywhere. Five wrong ones from an address (IPv4, or the /64 of an IPv6) lock that
 * address out for 15 minutes. Time comes in as an argument (seconds, monotonic).
 * Thread-safe.
 */
#ifndef P2P_UI_PAIRING_H
#define P2P_UI_PAIRING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "p2p/err.h"
#include "p2p/lock.h"

#define UI_CODE_LEN          6
#define UI_CODE_LIFE_S       600
#define UI_CODE_TRIES        50
#define UI_PAIR_TRIES        5
#define UI_PAIR_LOCKOUT_S    900
#define UI_PAIR_ADDRESSES    1024
#define UI_PAIR_ADDRESS_TEXT 46

P2P_MUTEX_KIND(ui_pairing_lock);
struct ui_pairing {
    struct ui_pairing_lock lock;
    char code[UI_CODE_LEN + 1]; /* empty: none */
    uint64_t expires_s;
    unsigned tries;
    struct {
        char address[UI_PAIR_ADDRESS_TEXT];
        unsigned wrong;
        uint64_t until_s; /* forgotten, or let in again, after this */
    } seen[UI_PAIR_ADDRESSES];
};

void ui_pairing_init(struct ui_pairing *p);
void ui_pairing_clear(struct ui_pairing *p); /* wipes */

/* A new code in place of the old one. */
P2P_MUST_CHECK enum p2p_err ui_pairing_renew(struct ui_pairing *p, uint64_t now_s,
                                             char code[UI_CODE_LEN + 1],
                                             uint64_t *left_s);
/* The code that is valid now and its seconds left; false when there is none. */
bool ui_pairing_current(struct ui_pairing *p, uint64_t now_s,
                        char code[UI_CODE_LEN + 1], uint64_t *left_s);

/*
 * Tries a code. P2P_OK: right, and used up. NOT_ALLOWED: wrong. RATE_LIMITED: too many
 * wrong ones from there, `*retry_s` says for how long; nothing was compared.
 */
P2P_MUST_CHECK enum p2p_err ui_pairing_try(struct ui_pairing *p, uint64_t now_s,
                                           const char *address, const char *code,
                                           unsigned *retry_s);

#endif
