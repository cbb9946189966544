/*
 * conn - one remote peer, from a client's view: connections with their handshake,
 * requests, and answers. Used by downloads (many requests, many connections) and
 * directly by `p2p ls`, the dashboard's browsing and metadata lookups (one request at a
 * time). A connection is blocking, with deadlines; one thread at a time uses it.
 * Everything that arrives is checked: answers without a request, repeated answers and
 * answers after CANCEL are PROTOCOL errors of the peer, not data.
 */
#ifndef P2P_CONN_H
#define P2P_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "p2p/about.h"
#include "p2p/chunk.h"
#include "p2p/identity.h"
#include "p2p/msg.h"
#include "p2p/net.h"
#include "p2p/reach.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct p2p_conn; /* *returned owned*, free with p2p_conn_close */

struct p2p_conn_options {
    struct p2p_identity *identity; /* borrowed until close */
    struct p2p_addr addr;
    const struct p2p_id *expected; /* may be NULL: see p2p_known_check */
    bool expected_by_user;
    int protocol; /* 2 or 1 */
    uint64_t timeout_ms;
    /* Further addresses of the peer `expected`, at most P2P_CONN_OTHERS_MAX, borrowed
     * during open. They are tried beside `addr`, and the first one where the peer
     * proves its id is used. Without `expected`, and with protocol 1, only `addr`
     * counts. */
    const struct p2p_addr *others;
    size_t other_count;
    /* Other ways than these addresses, with protocol 2 and if `expected` is set; NULL:
     * none. With reach->visit, only that link counts, and neither the addresses nor
     * `expected` do. Borrowed during open. */
    const struct p2p_reach *reach;
    /* A registry could not connect to `addr`: other ways are tried sooner. */
    bool is_unreached;
};
#define P2P_CONN_OTHERS_MAX 11
/*
 * Connects and does the handshake; does not change the known peers. UNREACHABLE,
 * TIMEOUT, AUTH, WRONG_PEER, KEY_CHANGED, NOT_ALLOWED, DOWNGRADE, REFUSED (the peer
 * closed when it knew who asks: it may not trust this device, be busy, or refuse
 * protocol 1), CLOSED (before that: it may be busy, or support only protocol 1).
 */
P2P_MUST_CHECK enum p2p_err p2p_conn_open(const struct p2p_conn_options *opt,
                                          struct p2p_conn **out);
/* Sends CLOSE or DONE if possible, but not as a guest; accepts NULL. */
void p2p_conn_close(struct p2p_conn *conn);

/* What the peer of a link tells its guest first. The texts are its claims, and can be
 * shown. */
#define P2P_WELCOME_TITLE_MAX 200
#define P2P_WELCOME_FETCH     1 /* mode: there are files to download */
struct p2p_welcome {
    uint8_t mode;
    bool has_pin;
    uint64_t expires_s;
    uint64_t bytes_left; /* UINT64_MAX: no limit */
    char title[P2P_WELCOME_TITLE_MAX + 1], name[P2P_ABOUT_NAME_MAX + 1];
};
/* NULL: this is no guest of a link. Borrowed until close. A guest's open gives
 * PASSPHRASE if the PIN is wrong or missing, and RATE_LIMITED after too many of them.
 */
const struct p2p_welcome *p2p_conn_welcome(const struct p2p_conn *conn);
/* A guest has everything that it wants: says so, and waits until the other side has
 * heard it and closes the connection. Then only p2p_conn_close may follow. False: it has
 * not closed it in time, or cannot be told. */
P2P_MUST_CHECK bool p2p_conn_end_visit(struct p2p_conn *conn, unsigned timeout_ms);
/* The address that was used, as it was given. Borrowed until close. */
const struct p2p_addr *p2p_conn_address(const struct p2p_conn *conn);
const struct p2p_id *
p2p_conn_peer(const struct p2p_conn *conn); /* NULL with protocol 1 */

/* How it is reached. */
enum p2p_path_kind p2p_conn_path(const struct p2p_conn *conn);
/* Round trip of the path; 0: unknown. */
uint64_t p2p_conn_rtt_us(const struct p2p_conn *conn);

/* The claims of the peer about itself. NULL: none yet. They arrive before the answer to
 * the first request. Borrowed until close. */
const struct p2p_about *p2p_conn_about(const struct p2p_conn *conn);

/* P2P_FEATURE_... that the peer says it has; 0: none, or none yet. */
uint32_t p2p_conn_features(const struct p2p_conn *conn);

/* Adds the peer to the known peers as met, with the requested and the reached address.
 * Call it for actions of the user (who named this peer, or downloaded from it), never
 * for lookups of the program itself. If the list is full or cannot be written, that is
 * logged. Does nothing with protocol 1, which proves no identity. */
void p2p_conn_remember(struct p2p_conn *conn);

/* A file as the peer describes it. */
struct p2p_meta {
    char name[P2P_NAME_MAX + 1];
    struct p2p_chunks geometry;
    uint64_t mtime_s;
    uint32_t version;
    struct p2p_digest root; /* protocol 2 */
    struct p2p_digest sha256;
    bool root_known, sha256_known;
};

/* Sends one request and waits for its answer. An error answer is returned as the
 * matching error (NOT_FOUND, BUSY, FILE_CHANGED, ...). */
P2P_MUST_CHECK enum p2p_err
p2p_conn_meta_by_name(struct p2p_conn *conn, const char *name, struct p2p_meta *out);
/* Like p2p_conn_meta_by_name, for a file that the peer shares under any name. PROTOCOL:
 * the answer has another root. UNSUPPORTED with protocol 1. */
P2P_MUST_CHECK enum p2p_err p2p_conn_meta_by_root(struct p2p_conn *conn,
                                                  const struct p2p_digest *root,
                                                  struct p2p_meta *out);
/* Downloads the layer and checks it against the root; *returns owned* array of
 * geometry->count, free(). The geometry is the source's, or has larger chunks if there
 * would be more than P2P_DOWNLOAD_LAYER_MAX. TOO_LARGE: more than
 * P2P_DOWNLOAD_CHUNKS_MAX even so. */
P2P_MUST_CHECK enum p2p_err p2p_conn_layer(struct p2p_conn *conn,
                                           const struct p2p_meta *meta,
                                           struct p2p_chunks *geometry,
                                           struct p2p_digest **out);
/* The SHA-256 of the whole file as the peer states it; the caller checks it against the
 * data. UNSUPPORTED with protocol 1, and for guests of a link. */
P2P_MUST_CHECK enum p2p_err p2p_conn_sha256(struct p2p_conn *conn,
                                            const struct p2p_digest *root,
                                            struct p2p_digest *out);
/* One page of the peer's files: `cursor` ("" first) is replaced by the next one ("" at
 * the end; P2P_NAME_MAX + 1 bytes). Names are checked; wrong ones are left out. The
 * entries borrow the connection's buffer: the visitor must not use the connection.
 * `folder` gets the empty folders, whose names end in '/'; it may be NULL. */
struct p2p_list_visitor {
    enum p2p_err (*file)(void *arg, const char *name,
                         const struct p2p_list_entry *entry);
    enum p2p_err (*folder)(void *arg, const char *name);
    void *arg;
};
P2P_MUST_CHECK enum p2p_err p2p_conn_list(struct p2p_conn *conn, char *cursor,
                                          const struct p2p_list_visitor *visitor);
/* Reads all pages. TIMEOUT: there are more pages at the deadline, because a peer could
 * send pages forever. */
P2P_MUST_CHECK enum p2p_err p2p_conn_list_all(struct p2p_conn *conn,
                                              uint64_t deadline_ms,
                                              const struct p2p_list_visitor *visitor);
/* The contents that a name had, newest first: those before `*before` (0: with the
 * present one), a page at a time; `*before` is replaced by the next one (0 at the end).
 * NOT_FOUND: the owner shows no versions of it. UNSUPPORTED: the peer's program is too
 * old. */
typedef void p2p_conn_visit_version(void *arg, const struct p2p_history_entry *version);
P2P_MUST_CHECK enum p2p_err p2p_conn_history(struct p2p_conn *conn, const char *name,
                                             uint32_t *before,
                                             p2p_conn_visit_version *visit, void *arg);
/* Files and a text that this device would like to give to the peer. */
struct p2p_offer_file {
    const char *name; /* may have slashes */
    uint64_t size;
    struct p2p_digest root;
};
struct p2p_offer {
    uint8_t id[P2P_OFFER_ID_LEN]; /* random, the same when it is repeated */
    uint64_t expires_s;           /* since 1970 */
    const struct p2p_offer_file *files;
    size_t count;     /* at most P2P_OFFER_ITEMS_MAX */
    const char *text; /* at most P2P_OFFER_TEXT_MAX bytes; may be NULL */
};
/* Offers them; the same offer again tells whether the other side has decided.
 * UNSUPPORTED: the peer does not know offers, or protocol 1; TOO_LARGE. */
P2P_MUST_CHECK enum p2p_err p2p_conn_offer(struct p2p_conn *conn,
                                           const struct p2p_offer *offer,
                                           enum p2p_offer_state *state);
/* A place in the peer's list of changes; zeros: none is known. The upper half of `log`
 * says which list it is. If it is the same and `after` did not fall, the peer still
 * knows what it deleted since. */
struct p2p_conn_place {
    uint64_t log, after;
};
/* One name that changed, as it is now. */
struct p2p_conn_change {
    const char *name; /* borrowed */
    bool is_gone;     /* it was deleted */
    struct p2p_digest root;
    uint64_t size, mtime_s;
};
typedef enum p2p_err p2p_conn_visit_change(void *arg,
                                           const struct p2p_conn_change *change);
/* Asks what changed in a folder of the peer ("": everywhere) since this place, which
 * becomes the new one, and waits for it for at most `wait_s`. `visit` may be NULL.
 * `*flags`: P2P_CHANGES_... of msg.h. UNSUPPORTED: the peer's program is too old. */
P2P_MUST_CHECK enum p2p_err p2p_conn_changes(struct p2p_conn *conn, const char *folder,
                                             unsigned wait_s,
                                             struct p2p_conn_place *place,
                                             p2p_conn_visit_change *visit, void *arg,
                                             uint8_t *flags);
/* True if something changed, or may have. */
bool p2p_conn_is_news(uint8_t flags);
/* Wakes a thread that waits for an answer (it gets CLOSED). From any thread. */
void p2p_conn_interrupt(struct p2p_conn *conn);

/* Sends a PING and waits for its PONG; `*rtt_us` is the round trip in microseconds.
 * UNSUPPORTED with protocol 1. */
P2P_MUST_CHECK enum p2p_err p2p_conn_ping(struct p2p_conn *conn, uint64_t *rtt_us);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
