/*
 * codes - numbers under which two people find the same box (docs/PROTOCOL.md, "Codes").
 * A number lives as long as its box, which its owner keeps alive by reading, and serves
 * one caller: whoever claims it gets the box, and nobody after that. The secret words
 * of a code never come here. Knows nothing of HTTP. Safe from any thread. Times are
 * p2p_now_ms.
 */
#ifndef P2P_DISCOVERY_CODES_H
#define P2P_DISCOVERY_CODES_H

#include "http/meet/boxes.h"

struct codes; /* *returned owned*, free with codes_free */

enum { CODES_MAX = 16384 };

/* No numbers yet; *returns owned*, free with codes_free. */
P2P_MUST_CHECK enum p2p_err codes_new(struct codes **out);
/* NULL is fine. */
void codes_free(struct codes *c);

/* A new number with a new box. FULL: there are too many; CROWDED: this source has. */
enum box_result codes_make(struct codes *c, struct boxes *boxes,
                           const struct box_source *source, uint64_t now_ms,
                           uint32_t *number, struct box_id *box);

enum code_result {
    CODE_OK,
    CODE_NONE,    /* there is no such number, or no longer */
    CODE_CLAIMED, /* somebody was faster */
};
/* The box of a number, for the first one who asks. */
enum code_result codes_claim(struct codes *c, struct boxes *boxes, uint32_t number,
                             uint64_t now_ms, struct box_id *box);

/* How many numbers are in use. */
size_t codes_count(struct codes *c, struct boxes *boxes, uint64_t now_ms);

#endif
