/*
 * direct - sends what the carrier serves, or a text, to one device, without a code: the
 * device gets an offer (docs/PROTOCOL.md, OFFER), and its user decides.
 * Single-threaded.
 */
#ifndef CLI_DIRECT_H
#define CLI_DIRECT_H

#include "cli/ask/common.h"
#include "cli/send/carrier.h"
#include "p2p/stop.h"

struct direct {
    const struct cli_common *common;
    const char *to, *text;   /* text: may be NULL */
    struct carrier *carrier; /* without files if only a text is sent */
    const uint64_t *size;    /* of all files */
    uint64_t expires_ms;     /* how long to wait for the decision */
    bool quiet;
    const struct p2p_stop *stop;
};
/* Offers it until the other side decides, and serves it until it is there. Returns 0 or
 * the exit status; prints its own messages. */
int direct_send(const struct direct *d);

#endif
