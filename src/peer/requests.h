/*
 * requests - what a client asked for and has not been answered: requests are queued,
 * data never. Bounded by the caller (requests_count). A GET being answered holds its
 * file open; an idle connection holds none.
 */
#ifndef PEER_REQUESTS_H
#define PEER_REQUESTS_H

#include <stdbool.h>
#include <sys/queue.h>

#include "p2p/msg.h"
#include "p2p/share.h"

struct request {
    TAILQ_ENTRY(request) link;
    enum p2p_msg_type
        type; /* META_GET, LAYER_GET, GET, LIST_GET, HASH_GET, PING, or ERROR to send */
    uint32_t req;
    struct p2p_digest root;
    uint64_t
        first; /* GET: offset; LAYER_GET: next hash; META_GET: by; PING: its value */
    uint32_t length;             /* GET: bytes; LAYER_GET: hashes left */
    uint32_t done;               /* GET: bytes already sent */
    uint8_t flags;               /* GET */
    uint16_t code;               /* ERROR */
    struct p2p_share_file *file; /* GET, once it began */
    bool cold_tried;             /* a worker read it once already */
    bool paid;                   /* the rate limits let the next piece pass */
    size_t size;                 /* of this struct with its text */
    size_t text_len;
    char text[]; /* name, cursor, or the text of an error */
};

TAILQ_HEAD(request_list, request);

struct requests {
    struct request_list list;
    struct request_list parked; /* cannot be answered yet: see requests_park */
    unsigned count;             /* all, parked ones too */
    unsigned errors;            /* of these, answers that are errors already */
    size_t bytes;               /* of all */
};

void requests_init(struct requests *r);
void requests_clear(struct requests *r);
/* A copy of text behind it; NULL without memory. */
struct request *request_new(enum p2p_msg_type type, uint32_t req, struct p2p_text text);
/* Both take it. add: questions go ahead of data (protocol 2 answers in any order);
 * in_order: at the end (protocol 1). */
void requests_add(struct requests *r, struct request *request);
void requests_add_in_order(struct requests *r, struct request *request);
void requests_remove(struct requests *r, struct request *request); /* frees it */
/* Sets a request aside until the shared files change; resume brings all of them back.
 */
void requests_park(struct requests *r, struct request *request);
void requests_resume(struct requests *r);
struct request *requests_find(struct requests *r, uint32_t req);
/* Turns a queued request into the error that answers it. */
void requests_fail(struct requests *r, struct request *request, uint16_t code,
                   const char *text);
/* A GET that had its turn lets the next GET have one: two are answered side by side. */
void requests_interleave(struct requests *r, struct request *request);

#endif
