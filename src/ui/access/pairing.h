/*
 * pairing - the code that lets another device in, and what stops guessing.
 *
 * A code has 6 digits, lives 10 minutes and works once. Five wrong ones from an address
 * (IPv4, or the /64 of an IPv6) lock that address out for 15 minutes. These, or 20 in a
 * day from anywhere, raise an alarm for a day: the code is replaced, and the new one
 * and all others have 12 digits. A right one of 12 digits counts from wherever it
 * comes, so strangers can neither guess a code nor keep the owner's devices out:
 * against 6 digits there are at most 39 tries in 24 hours (1 in 25,000), and 10 million
 * tries in the life of a code of 12 digits find it once in 100,000 times.
 * Time comes in as an argument (seconds, monotonic). Thread-safe.
 */
#ifndef P2P_UI_PAIRING_H
#define P2P_UI_PAIRING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "p2p/err.h"
#include "p2p/lock.h"

#define UI_CODE_SHORT        6
#define UI_CODE_LEN          12 /* the longest */
#define UI_CODE_LIFE_S       600
#define UI_CODE_TRIES        20
#define UI_CODE_TRIES_S      86400
#define UI_CODE_ALARM_S      86400
#define UI_PAIR_TRIES        5
#define UI_PAIR_LOCKOUT_S    900
#define UI_PAIR_ADDRESSES    1024
#define UI_PAIR_ADDRESS_TEXT 46

P2P_MUTEX_KIND(ui_pairing_lock);
struct ui_pairing {
    struct ui_pairing_lock lock;
    /* Empty: none. */
    char code[UI_CODE_LEN + 1] P2P_GUARDED_BY(ui_pairing_lock);
    uint64_t expires_s P2P_GUARDED_BY(ui_pairing_lock);
    /* Wrong ones from anywhere, until ... */
    unsigned tries P2P_GUARDED_BY(ui_pairing_lock);
    uint64_t tries_until_s;
    uint64_t alarm_until_s; /* codes are long */
    struct {
        char address[UI_PAIR_ADDRESS_TEXT];
        unsigned wrong;
        uint64_t until_s; /* time after which the entry, or the lockout, ends */
    } seen[UI_PAIR_ADDRESSES] P2P_GUARDED_BY(ui_pairing_lock);
};

/* Of a struct in the caller's memory; there is no code at first. */
void ui_pairing_init(struct ui_pairing *p);
void ui_pairing_clear(struct ui_pairing *p); /* wipes */

/* Replaces the code by a new one. */
P2P_MUST_CHECK enum p2p_err ui_pairing_renew(struct ui_pairing *p, uint64_t now_s,
                                             char code[UI_CODE_LEN + 1],
                                             uint64_t *left_s);
/* The code that is valid now and its seconds left; false when there is none. */
bool ui_pairing_current(struct ui_pairing *p, uint64_t now_s,
                        char code[UI_CODE_LEN + 1], uint64_t *left_s);

struct ui_pairing_answer {
    unsigned retry_s;     /* after RATE_LIMITED */
    bool is_long;         /* after NOT_ALLOWED: the code that is valid has 12 digits */
    bool is_alarm_raised; /* this try replaced the code: show the owner the new one, if
                           * there is one */
};
/*
 * Tries a code. P2P_OK: right, and used up. NOT_ALLOWED: wrong. RATE_LIMITED: too many
 * wrong ones from there; a short code was not compared.
 */
P2P_MUST_CHECK enum p2p_err ui_pairing_try(struct ui_pairing *p, uint64_t now_s,
                                           const char *address, const char *code,
                                           struct ui_pairing_answer *answer);

#endif
