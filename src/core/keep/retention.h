/*
 * retention - which versions of one name can go because of their age. Pure: no clock,
 * no files.
 *
 * Ages are of the kept clock (versions_clock.c), in seconds since the content ended.
 * Until the age of a rule, at most one version stays per interval, the oldest: a flood
 * of writes cannot push a good version out. A version that is older than the last rule
 * goes. Nothing younger than `min_age_s` goes.
 */
#ifndef P2P_KEEP_RETENTION_H
#define P2P_KEEP_RETENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"

#define P2P_RETENTION_RULES_MAX 8

struct p2p_retention {
    struct p2p_retention_rule {
        uint64_t until_age_s, step_s;
    } rules[P2P_RETENTION_RULES_MAX];
    size_t count;
    uint64_t deleted_s; /* versions of a name that is gone stay until this age of the
                         * deletion, and then all of them go */
    uint64_t min_age_s;
};
/* Reads `AGE:STEP AGE:STEP ...` with s, m, h, d, w, y, ages rising. USAGE. */
P2P_MUST_CHECK enum p2p_err p2p_retention_parse(const char *text,
                                                struct p2p_retention *out);
/* Reads one length of time such as 30d. USAGE. */
P2P_MUST_CHECK enum p2p_err p2p_retention_parse_age(const char *text, uint64_t *out_s);

struct p2p_retention_row {
    uint64_t until_k; /* when the content ended */
    bool is_deletion;
};
/* Sets `drop` for each of the `n` rows of a name, oldest first. `is_gone`: no file has
 * the name. */
void p2p_retention_decide(const struct p2p_retention *rules,
                          const struct p2p_retention_row *rows, size_t n, bool is_gone,
                          uint64_t now_k, bool *drop);

#endif
