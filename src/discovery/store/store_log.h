/*
 * Encodes, decodes and applies the entries of the shared log. Used only by store.c; it
 * is a separate file because this format must not change between versions of the
 * program.
 *
 * entry = field "o": origin (16 hex digits of the writer), "t": type, "d": bytes,
 *         "c": claims
 * put     record; claims: nothing, or u64 seq of the record and claims (record.h).
 *         0.1.0 passes over them.
 * left    id[32] u64 seq u64 until_s
 * beat    n x (id[32] u32 age in ms)
 */
#ifndef P2P_DISCOVERY_STORE_LOG_H
#define P2P_DISCOVERY_STORE_LOG_H

#include "discovery/registry/registry.h"

enum store_type { STORE_PUT, STORE_LEFT, STORE_BEAT, STORE_NEWS };

/* The name of a type for messages. */
const char *store_type_name(enum store_type type);

#define STORE_LEFT_LEN 48
#define STORE_BEAT_LEN 36

/* One entry of the log. Borrows. */
struct store_entry {
    const char *type;
    const void *bytes, *claims; /* claims may be NULL */
    size_t len, claims_len;
};
/* Applies one entry of another registry. */
void store_log_apply(struct registry *r, const struct store_entry *entry);

/* Writes the claims that stand beside a record; returns their length, 0 for none. */
#define STORE_CLAIMS_MAX (8 + RECORD_CLAIMS_MAX)
size_t store_log_put_claims(uint8_t out[STORE_CLAIMS_MAX],
                            const struct registry_exported *peer);
/* Puts claims into the record that they were written with; passes over others. */
void store_log_take_claims(struct record *rec, const void *claims, size_t len);

/* Writes the entry of a peer that left; it is remembered until `until_s`. */
void store_log_put_left(uint8_t out[STORE_LEFT_LEN], const struct p2p_id *id,
                        uint64_t seq, uint64_t until_s);
/* Writes the entry of a heartbeat. */
void store_log_put_beat(uint8_t out[STORE_BEAT_LEN], const struct registry_beat *beat,
                        uint64_t now_ms);

#endif
