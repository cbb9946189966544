/*
 * requests - the unanswered requests of a client. Requests are queued, data never. The
 * caller limits their number (requests_count). A GET that is being answered keeps its
 * file open; an idle connection keeps none.
 */
#ifndef PEER_REQUESTS_H
#define PEER_REQUESTS_H

#include <stdbool.h>
#include <sys/queue.h>

#include "p2p/msg.h"
#include "p2p/share.h"

struct request {
    TAILQ_ENTRY(request) link;
    enum p2p_msg_type type; /* META_GET, LAYER_GET, GET, LIST_GET, HASH_GET, INFO_GET,
                               HISTORY_GET, CHANGES_GET, LEAVES_GET,
                               PING, or OFFERED and ERROR to send */
    uint32_t req;
    struct p2p_digest root;
    uint64_t first; /* GET: offset; LAYER_GET: next hash; META_GET: by; PING: its value;
                       HISTORY_GET: before; CHANGES_GET: after; LEAVES_GET: leaf */
    uint64_t log, until_ms; /* CHANGES_GET: until then it may wait */
    uint32_t length;        /* GET: bytes; LAYER_GET: hashes left; LEAVES_GET: leaves */
    uint32_t done;          /* GET: bytes already sent */
    uint8_t flags;          /* GET */
    uint16_t code;          /* ERROR */
    struct p2p_share_file *file; /* GET and LEAVES_GET, once they began */
    bool is_sought;              /* among the old contents, and found */
    bool cold_tried;             /* a worker has read it once already */
    bool paid;                   /* the rate limits have allowed the next piece */
    size_t size;                 /* size of this struct with its text */
    size_t text_len;
    char text[]; /* name, cursor, or the text of an error */
};

TAILQ_HEAD(request_list, request);

struct requests {
    struct request_list list;
    struct request_list parked; /* requests that cannot be answered yet: see
                                 * requests_park */
    unsigned count;             /* all, parked ones too */
    unsigned uncounted; /* of these, the ones that do not count towards the client's
                           limit: errors to send, and INFO? */
    size_t bytes;       /* of all */
};

/* Starts empty. */
void requests_init(struct requests *r);
/* Drops all requests and closes their files. */
void requests_clear(struct requests *r);
/* Copies the text into the request; NULL when out of memory. */
struct request *request_new(enum p2p_msg_type type, uint32_t req, struct p2p_text text);
/* Both take ownership. add: short questions go before data (protocol 2 answers in any
 * order); in_order: at the end (protocol 1). */
void requests_add(struct requests *r, struct request *request);
void requests_add_in_order(struct requests *r, struct request *request);
void requests_remove(struct requests *r, struct request *request); /* frees it */
/* Parks a request until the shared files change; resume returns all parked requests to
 * the queue. */
void requests_park(struct requests *r, struct request *request);
void requests_resume(struct requests *r);
/* True if a request of this type has no answer yet. */
bool requests_has(const struct requests *r, enum p2p_msg_type type);
struct request *requests_find(struct requests *r, uint32_t req);
/* Replaces a queued request by the error that answers it. */
void requests_fail(struct requests *r, struct request *request, uint16_t code,
                   const char *text);
/* Closes the files of all requests; each is opened again when its turn comes. */
void requests_close_files(struct requests *r);
/* A GET that had its turn moves behind the next GET: two are answered in turns. */
void requests_interleave(struct requests *r, struct request *request);

#endif
