/*
 * Parses registrations from outside: checks the JSON field by field, verifies the
 * signature, and makes a record of it. The trust boundary of this program.
 */
#ifndef P2P_DISCOVERY_INTAKE_H
#define P2P_DISCOVERY_INTAKE_H

#include "discovery/registry/record.h"
#include "discovery/registry/registry.h"

struct cJSON;

/* The reason for a refusal, as it is sent. */
struct intake_error {
    unsigned status;
    const char *code;
    char detail[240];
};

/*
 * Parses a registration. The record borrows its texts from `json`: clear the record
 * first. `client_ip` is the address to list if the peer states none.
 */
bool intake_registration(const struct cJSON *json, const char *client_ip,
                         uint64_t now_s, struct record *out,
                         struct intake_error *error);

/* A delta or a departure. It is parsed first, and then verified with the key that the
 * registry has. */
struct intake_delta {
    struct registry_delta delta;
    struct p2p_reg_entry *add;
    struct p2p_text *remove;
    struct p2p_signature signature;
};
bool intake_delta(const struct cJSON *json, uint64_t now_s, struct intake_delta *out,
                  struct intake_error *error);
void intake_delta_clear(struct intake_delta *d);
bool intake_delta_is_genuine(const struct intake_delta *d, const struct p2p_spki *key);

struct intake_leave {
    struct p2p_id id;
    uint64_t seq;
    struct p2p_signature signature;
};
bool intake_leave(const struct cJSON *json, uint64_t now_s, struct intake_leave *out,
                  struct intake_error *error);
bool intake_leave_is_genuine(const struct intake_leave *l, const struct p2p_spki *key);

/* RFC 4648 base64 of exactly `len` bytes, padded, nothing else in it. */
bool intake_base64(const char *text, uint8_t *out, size_t len);

#endif
