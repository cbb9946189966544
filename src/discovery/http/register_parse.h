/*
 * Parses registrations from outside: checks the JSON field by field, verifies the
 * signature, and makes a record of it. The trust boundary of this program.
 */
#ifndef P2P_DISCOVERY_REGISTER_PARSE_H
#define P2P_DISCOVERY_REGISTER_PARSE_H

#include "discovery/registry/record.h"
#include "discovery/registry/registry.h"

struct cJSON;

/* The reason for a refusal, as it is sent. */
struct register_error {
    unsigned status;
    const char *code;
    char detail[240];
};

/*
 * Parses a registration. The record borrows its texts from `json`: clear the record
 * first. `client_ip` is the address to list if the peer states none.
 */
bool register_parse(const struct cJSON *json, const char *client_ip, uint64_t now_s,
                    struct record *out, struct register_error *error);

/* A delta or a departure. It is parsed first, and then verified with the key that the
 * registry has. */
struct register_delta {
    struct registry_delta delta;
    struct p2p_reg_entry *add;
    struct p2p_text *remove;
    struct p2p_signature signature;
};
/* Reads a change of a list; free it with register_delta_clear. False: `error` says what
 * is wrong, and there is nothing to free. */
bool register_parse_delta(const struct cJSON *json, uint64_t now_s,
                          struct register_delta *out, struct register_error *error);
/* Frees the lists of a change. */
void register_delta_clear(struct register_delta *d);
/* True if the signature of the change fits this key. */
bool register_delta_is_genuine(const struct register_delta *d,
                               const struct p2p_spki *key);

struct register_leave {
    struct p2p_id id;
    uint64_t seq;
    struct p2p_signature signature;
};
/* Reads a request to be removed. False: `error` says what is wrong. */
bool register_parse_leave(const struct cJSON *json, uint64_t now_s,
                          struct register_leave *out, struct register_error *error);
/* True if the signature of the request fits this key. */
bool register_leave_is_genuine(const struct register_leave *l,
                               const struct p2p_spki *key);

#endif
