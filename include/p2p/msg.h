/*
 * msg - every message of protocol 1 and 2 (PROTOCOL.md, "Messages"): encode beside
 * decode.
 *
 * Plaintexts only; sealing is session's. Decoders take exactly one message, check every
 * length before use and prove that nothing is left over (MALFORMED). Names are given
 * as bytes: whether a name may be used is path's business. Decoded names and data
 * borrow the decoded buffer. No allocation.
 */
#ifndef P2P_MSG_H
#define P2P_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/bytes.h"
#include "p2p/crypto.h"
#include "p2p/leaves.h"
#include "p2p/limits.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* Text in a message, without a NUL. */
struct p2p_text {
    const char *at;
    size_t len;
};

/* ---- Protocol 2: u8 type || body ---- */

enum p2p_msg_type {
    P2P_MSG_READY = 0x05,
    P2P_MSG_REKEY = 0x06,
    P2P_MSG_CLOSE = 0x07,
    P2P_MSG_META_GET = 0x10, /* META? */
    P2P_MSG_META = 0x11,
    P2P_MSG_LAYER_GET = 0x12, /* LAYER? */
    P2P_MSG_LAYER = 0x13,
    P2P_MSG_GET = 0x14,
    P2P_MSG_DATA = 0x15,
    P2P_MSG_CANCEL = 0x16,
    P2P_MSG_LIST_GET = 0x17, /* LIST? */
    P2P_MSG_LIST = 0x18,
    P2P_MSG_HASH_GET = 0x19, /* HASH? */
    P2P_MSG_HASH = 0x1a,
    P2P_MSG_PING = 0x1b,
    P2P_MSG_PONG = 0x1c,
    P2P_MSG_ERROR = 0x1e,
    P2P_MSG_LEAVES_GET = 0x20, /* LEAVES? */
    P2P_MSG_LEAVES = 0x21,
    P2P_MSG_CHANGES_GET = 0x22, /* CHANGES? */
    P2P_MSG_CHANGES = 0x23,
    P2P_MSG_HISTORY_GET = 0x24, /* HISTORY? */
    P2P_MSG_HISTORY = 0x25,
    P2P_MSG_TICKET_GET = 0x26, /* TICKET?: of guests, as the following (link.h) */
    P2P_MSG_TICKET = 0x27,
    P2P_MSG_INFO_GET = 0x28, /* INFO? */
    P2P_MSG_INFO = 0x29,
    P2P_MSG_OFFER = 0x2a,
    P2P_MSG_OFFERED = 0x2b,
    P2P_MSG_WELCOME = 0x40, /* to guests */
};

enum { P2P_META_BY_NAME = 0, P2P_META_BY_ROOT = 1 };
enum { P2P_META_SHA256_KNOWN = 1 };
enum { P2P_GET_ZSTD = 1 };
enum { P2P_DATA_LAST = 1, P2P_DATA_ZSTD = 2 };

struct p2p_msg_meta_get {
    uint8_t by;
    struct p2p_text name;   /* P2P_META_BY_NAME */
    struct p2p_digest root; /* P2P_META_BY_ROOT */
};
struct p2p_msg_meta {
    struct p2p_digest root;
    uint64_t size;
    uint32_t chunk_size;
    uint64_t mtime_s;
    uint32_t version;
    uint8_t flags;
    struct p2p_digest sha256;
    struct p2p_text name;
};
struct p2p_msg_layer_get {
    struct p2p_digest root;
    uint64_t first;
    uint32_t count;
};
struct p2p_msg_layer {
    uint64_t first;
    uint32_t count;        /* at most P2P_LAYER_HASHES_MAX */
    const uint8_t *hashes; /* count * 32 bytes */
};
struct p2p_msg_get {
    struct p2p_digest root;
    uint64_t offset;
    uint32_t length;
    uint8_t flags;
};
struct p2p_msg_data {
    uint8_t flags;
    uint32_t offset; /* within the request */
    const uint8_t *bytes;
    size_t len;
};
struct p2p_msg_error {
    uint16_t code;
    struct p2p_text text;
};
/* INFO? and INFO: the claims of the sender about itself. The name passes
 * p2p_about_name_check, or is empty; the version has the same kind of text. */
struct p2p_msg_info {
    uint8_t kind;      /* enum p2p_about_kind; a later one may be unknown here */
    uint32_t features; /* of P2P_FEATURE_...; unknown bits mean nothing */
    struct p2p_text name;
    struct p2p_text version; /* of the program */
};
enum {
    P2P_FEATURE_OFFERS = 1,
    P2P_FEATURE_FEED = 2,
    P2P_FEATURE_LEAVES = 4,
    P2P_FEATURE_HISTORY = 8,
    P2P_FEATURE_TICKETS = 16,
};
/* OFFER: files that the client would like to send, and a text. */
#define P2P_OFFER_ID_LEN      16
#define P2P_OFFER_RECORDS_MAX 64    /* of one offer */
#define P2P_OFFER_ITEMS_MAX   10000 /* in all records of one offer */
#define P2P_OFFER_TEXT_MAX    4096
enum { P2P_OFFER_MORE = 1 }; /* another record of this offer follows */
struct p2p_msg_offer {
    uint8_t id[P2P_OFFER_ID_LEN]; /* random, the same when it is repeated */
    uint8_t flags;
    uint64_t expires_s; /* since 1970 */
    uint16_t count;
    struct p2p_rd items; /* parsed: take them with p2p_msg_get_offer_item; to be sent:
                          * written with p2p_msg_put_offer_item */
    struct p2p_text text;
};
struct p2p_offer_item {
    struct p2p_digest root;
    uint64_t size;
    struct p2p_text name; /* may have slashes */
};
enum p2p_offer_state {
    P2P_OFFER_SHOWN,
    P2P_OFFER_ACCEPTED,
    P2P_OFFER_DECLINED,
    P2P_OFFER_REFUSED, /* blocked, too many, or switched off */
};
struct p2p_msg_offered {
    uint8_t id[P2P_OFFER_ID_LEN];
    uint8_t state; /* enum p2p_offer_state */
};
struct p2p_msg_list {
    uint16_t count;
    struct p2p_rd entries; /* take them with p2p_msg_get_list_entry */
    struct p2p_text next;
};
struct p2p_list_entry {
    struct p2p_digest root;
    uint64_t size;
    uint64_t mtime_s;
    struct p2p_text name;
};

/* LEAVES?: the hashes and sums of 16 KiB blocks, for a client that has a similar file.
 */
struct p2p_msg_leaves_get {
    struct p2p_digest root;
    uint64_t first;
    uint16_t count;
};
struct p2p_msg_leaves {
    uint64_t first;
    uint16_t count;        /* at most P2P_LEAVES_MAX */
    const uint8_t *leaves; /* count * P2P_LEAF_LEN bytes: p2p_msg_get_leaf */
};
#define P2P_LEAF_LEN (P2P_DIGEST_LEN + 4)

/* CHANGES?: what has changed in a folder since a place in the peer's list of changes;
 * waits for it. */
struct p2p_msg_changes_get {
    uint8_t kind;   /* 0; others belong to later versions */
    uint64_t log;   /* whose places these are; 0: none is known */
    uint64_t after; /* the last place that is known */
    uint16_t wait_s;
    struct p2p_text folder; /* without a slash at its end; "": everything */
};
enum {
    P2P_CHANGES_ANEW = 1,   /* another list than asked for, or `after` is too far back:
                             * read the files with LIST? */
    P2P_CHANGES_MORE = 2,   /* ask again at once */
    P2P_CHANGES_WHOLE = 4,  /* up to `upto` nothing is missing */
    P2P_CHANGES_SOME = 128, /* not sent: there were entries (p2p_conn_changes) */
};
enum { P2P_CHANGE_GONE = 1 };
struct p2p_msg_changes {
    uint8_t flags;
    uint64_t log, upto;
    uint16_t count;
    struct p2p_rd entries; /* take them with p2p_msg_get_change */
};
/* One name that changed, as it is now. */
struct p2p_change_entry {
    uint8_t flags;
    struct p2p_digest root; /* zeros if it is gone, like the next three */
    uint64_t size;
    uint64_t mtime_ns;
    uint32_t version;
    uint64_t change; /* its place */
    struct p2p_text name;
};
#define P2P_CHANGES_MAX 256 /* of one answer */

/* HISTORY?: the contents that a name had. */
struct p2p_msg_history_get {
    struct p2p_text name;
    uint32_t before; /* older than this version; 0: the newest */
};
enum { P2P_HISTORY_CURRENT = 1, P2P_HISTORY_KEPT = 2 };
struct p2p_msg_history {
    uint16_t count;
    struct p2p_rd entries; /* take them with p2p_msg_get_history_entry */
    uint32_t next;         /* for the next `before`; 0: that was all */
};
struct p2p_history_entry {
    uint32_t version;
    uint8_t flags; /* unknown bits mean nothing */
    uint64_t size;
    uint64_t mtime_ns;
    uint64_t since_s, until_s; /* until: 0 if current */
    struct p2p_digest root;
};
#define P2P_HISTORY_MAX 128 /* of one answer */

struct p2p_msg {
    enum p2p_msg_type type;
    uint32_t req; /* 0 for READY, REKEY, CLOSE, PING, PONG */
    union {
        struct p2p_msg_meta_get meta_get;
        struct p2p_msg_meta meta;
        struct p2p_msg_layer_get layer_get;
        struct p2p_msg_layer layer;
        struct p2p_msg_get get;
        struct p2p_msg_data data;
        struct p2p_text cursor; /* LIST_GET */
        struct p2p_msg_list list;
        struct p2p_digest root;   /* HASH_GET */
        struct p2p_digest sha256; /* HASH */
        uint64_t ping;            /* PING, PONG */
        struct p2p_msg_error error;
        struct p2p_msg_info info; /* INFO_GET, INFO */
        struct p2p_msg_leaves_get leaves_get;
        struct p2p_msg_leaves leaves;
        struct p2p_msg_changes_get changes_get;
        struct p2p_msg_changes changes;
        struct p2p_msg_history_get history_get;
        struct p2p_msg_history history;
        struct p2p_msg_offer offer;
        struct p2p_msg_offered offered;
    };
};

/*
 * Encodes the message into wr (which must have room: P2P_RECORD_PLAIN_MAX always has).
 * LIST, CHANGES and HISTORY are built with the calls below instead.
 */
void p2p_msg_put(struct p2p_wr *wr, const struct p2p_msg *msg);

/*
 * MALFORMED: wrong body, bytes left over, DATA of more than P2P_DATA_MAX or with
 * unknown flags, LAYER of more than P2P_LAYER_HASHES_MAX, LEAVES of more than
 * P2P_LEAVES_MAX, INFO with a name that cannot
 * be shown, OFFER with a text of more than P2P_OFFER_TEXT_MAX, OFFERED with an unknown
 * state. PROTOCOL: a type that
 * PROTOCOL.md does not name; msg->type and msg->req (0 when the body is too short) are
 * set even then. Numbers are not judged: sizes, offsets and counts are the caller's to
 * check.
 */
P2P_MUST_CHECK enum p2p_err p2p_msg_parse(const void *plain, size_t len,
                                          struct p2p_msg *msg);

/*
 * DATA without a copy: writes the header of a DATA message at `out` (P2P_DATA_HEADER
 * bytes); the bytes follow it.
 */
#define P2P_DATA_HEADER 10
void p2p_msg_put_data_header(uint8_t out[P2P_DATA_HEADER], uint32_t req, uint8_t flags,
                             uint32_t offset);

/* Writes one leaf of LEAVES: P2P_LEAF_LEN bytes. */
void p2p_msg_put_leaf(uint8_t *out, const struct p2p_leaf *leaf);
/* Leaf `i` of a parsed LEAVES, for i < count. */
void p2p_msg_get_leaf(const struct p2p_msg_leaves *leaves, size_t i,
                      struct p2p_leaf *out);

/*
 * LIST: begin with an empty writer, add while it returns true (false: no room or
 * P2P_LIST_ENTRIES_MAX reached, nothing added), end. `next` is at most P2P_NAME_MAX
 * bytes.
 */
void p2p_msg_list_begin(struct p2p_wr *wr, uint32_t req);
/* Adds one entry: see above. */
bool p2p_msg_list_add(struct p2p_wr *wr, const struct p2p_list_entry *entry);
/* Ends the page; an empty `next` says that it is the last one. */
void p2p_msg_list_end(struct p2p_wr *wr, struct p2p_text next);
/* The entries of a parsed LIST, `count` times; they were checked when it was parsed. */
void p2p_msg_get_list_entry(struct p2p_rd *entries, struct p2p_list_entry *entry);

/* CHANGES and HISTORY, in the same way: begin, add while it returns true, end. */
/* Begins CHANGES. */
void p2p_msg_changes_begin(struct p2p_wr *wr, uint32_t req, uint64_t log);
/* Adds a name. */
bool p2p_msg_changes_add(struct p2p_wr *wr, const struct p2p_change_entry *entry);
/* P2P_CHANGES_... */
void p2p_msg_changes_end(struct p2p_wr *wr, uint8_t flags, uint64_t upto);
/* As p2p_msg_get_list_entry. */
void p2p_msg_get_change(struct p2p_rd *entries, struct p2p_change_entry *entry);
/* Begins HISTORY. */
void p2p_msg_history_begin(struct p2p_wr *wr, uint32_t req);
/* Adds a content. */
bool p2p_msg_history_add(struct p2p_wr *wr, const struct p2p_history_entry *entry);
/* 0: that was all. */
void p2p_msg_history_end(struct p2p_wr *wr, uint32_t next);
/* As p2p_msg_get_list_entry. */
void p2p_msg_get_history_entry(struct p2p_rd *entries, struct p2p_history_entry *entry);
/* Writes one item of an OFFER; false, and nothing is written, if it does not fit. */
bool p2p_msg_put_offer_item(struct p2p_wr *items, const struct p2p_offer_item *item);
/* The items of a parsed OFFER, `count` times; they were checked when it was parsed. */
void p2p_msg_get_offer_item(struct p2p_rd *items, struct p2p_offer_item *item);
/* The most bytes of items that one OFFER with a text of the maximum length can have. */
#define P2P_OFFER_RECORD_ITEMS (P2P_RECORD_PLAIN_MAX - 36 - P2P_OFFER_TEXT_MAX)

/* ---- Protocol 1: text ---- */

enum p2p_msg1_type {
    P2P_MSG1_META_GET, /* META|name */
    P2P_MSG1_META,     /* META|name|size|chunk size|chunks|sha256 hex */
    P2P_MSG1_GET,      /* GET|name|index */
    P2P_MSG1_CHUNK,    /* CHUNK|index|bytes */
    P2P_MSG1_ERROR,    /* ERROR|text */
    P2P_MSG1_DONE,     /* DONE */
};

struct p2p_msg1 {
    enum p2p_msg1_type type;
    struct p2p_text name; /* META_GET, META, GET; the text of ERROR */
    uint64_t size;
    uint64_t chunk_size;
    uint64_t chunks;
    struct p2p_digest sha256;
    uint64_t index;       /* GET, CHUNK */
    const uint8_t *bytes; /* CHUNK */
    size_t len;
};

/* Encodes the message into wr, which has room for it. */
void p2p_msg1_put(struct p2p_wr *wr, const struct p2p_msg1 *msg);
/* CHUNK without a copy: writes the text that precedes the bytes. Returns its length (at
 * most 32). */
size_t p2p_msg1_chunk_prefix(uint64_t index, char out[32]);
/* Parses a request of a client. PROTOCOL for an unknown word. */
P2P_MUST_CHECK enum p2p_err p2p_msg1_parse_request(const void *plain, size_t len,
                                                   struct p2p_msg1 *msg);
/* Parses an answer of a server. PROTOCOL for an unknown word. `msg` borrows from
 * `plain`. */
P2P_MUST_CHECK enum p2p_err p2p_msg1_parse_answer(const void *plain, size_t len,
                                                  struct p2p_msg1 *msg);

/* ---- Canonical bytes of a signed registration (PROTOCOL.md) ---- */

struct p2p_reg_entry {
    struct p2p_text name;
    uint64_t size;
    struct p2p_digest root;
    struct p2p_digest sha256; /* zero when unknown */
    uint32_t version;
};
struct p2p_registration {
    struct p2p_id peer_id;
    uint64_t seq;
    uint64_t expires_at_s;
    struct p2p_text ip;
    uint16_t port;
    const struct p2p_reg_entry *entries; /* sorted by name, bytewise */
    uint32_t count;
    /* Only in the second signature: enum p2p_about_kind, and additional addresses
     * (HOST:PORT), separated by a space. */
    uint8_t kind;
    struct p2p_text name, addresses;
};
struct p2p_reg_delta {
    struct p2p_id peer_id;
    uint64_t seq;
    uint64_t base;
    const struct p2p_text *removed; /* sorted */
    uint32_t removed_count;
    const struct p2p_reg_entry *added; /* sorted by name */
    uint32_t added_count;
};
/* The exact number of bytes that p2p_registration_put writes. */
size_t p2p_registration_size(const struct p2p_registration *reg);
/* Writes the bytes to sign, from the fields only: the caller has sorted the entries. */
void p2p_registration_put(struct p2p_wr *wr, const struct p2p_registration *reg);
/* The same for the second signature, which covers the kind, the name and the addresses
 * as well. */
size_t p2p_registration2_size(const struct p2p_registration *reg);
/* As p2p_registration_put. */
void p2p_registration2_put(struct p2p_wr *wr, const struct p2p_registration *reg);
/* The exact number of bytes that p2p_reg_delta_put writes. */
size_t p2p_reg_delta_size(const struct p2p_reg_delta *delta);
/* Writes the bytes to sign of a delta; names and entries are sorted by the caller. */
void p2p_reg_delta_put(struct p2p_wr *wr, const struct p2p_reg_delta *delta);
#define P2P_REG_LEAVE_LEN (11 + 1 + 32 + 8)
/* Writes P2P_REG_LEAVE_LEN bytes. */
void p2p_reg_leave_put(struct p2p_wr *wr, const struct p2p_id *peer_id, uint64_t seq);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
