/*
 * carrier - the p2p-peer that serves what is sent: the running one of these keys, or
 * one that is started for this purpose and ends with it. It gets open files through its
 * control socket (docs/ARCHITECTURE.md), so nothing has to lie in a shared folder.
 * Single-threaded.
 */
#ifndef CLI_CARRIER_H
#define CLI_CARRIER_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/send/helper.h"
#include "p2p/chunk.h"
#include "p2p/conn.h"
#include "p2p/crypto.h"
#include "p2p/discovery.h"
#include "p2p/link.h"

struct cJSON;

struct carrier_options {
    const char *keys_dir;
    struct p2p_discovery *discovery; /* borrowed during open */
    const char *url;                 /* of its only registry */
    const char *own_name;            /* of this device, for one that is started */
    bool own;                        /* starts one in any case */
    bool running; /* only the running one, whichever registries know it */
};

struct carrier {
    int control;
    struct helper helper; /* that was started, if one was */
    char offer[9];        /* the number of the offer there, 8 hex digits */
    char peer_id[P2P_ID_HEX_LEN + 1];
    uint16_t port;
    /* The files that were added, for an offer to a device: owned. */
    struct p2p_offer_file *files;
    size_t count;
};

/* Finds or starts it, and begins an offer. Prints the reason of a failure. `c` is to be
 * closed in any case. */
P2P_MUST_CHECK enum p2p_err carrier_open(struct carrier *c,
                                         const struct carrier_options *opt);
/* Ends the offer, and the peer if it was started. */
void carrier_close(struct carrier *c);

/* A file as it was hashed. */
struct carrier_file {
    const char *name; /* ends in '/': an empty folder, without the rest */
    int fd;
    uint64_t mtime_ns;
    struct p2p_chunks geometry;
    struct p2p_digest root, sha256;
    const struct p2p_digest *layer; /* geometry.count of them */
};
P2P_MUST_CHECK enum p2p_err carrier_add(struct carrier *c,
                                        const struct carrier_file *file);
/* This peer gets the files from now on. */
P2P_MUST_CHECK enum p2p_err carrier_allow(struct carrier *c, const char *peer_id);
/* What guests of a link may have. */
struct carrier_link {
    const struct p2p_link_secret *secret;
    const char *title, *pin;    /* pin: NULL for none */
    uint64_t lifetime_ms, uses; /* uses 0: no limit */
    const char *near; /* p2p-ui of this machine, where guests come; NULL: none */
};
/* From now on, every holder of this link gets the files. UNSUPPORTED: the peer uses no
 * registry, or does not know `near`; UNKNOWN_VERB, as of p2p_control_ask: it is too
 * old. */
P2P_MUST_CHECK enum p2p_err carrier_link(struct carrier *c,
                                         const struct carrier_link *link);
/* What it has sent: the answer of offer.status, owned; NULL: it is gone. Call it at
 * least every half minute. */
struct cJSON *carrier_status(struct carrier *c);

#endif
