/*
 * The record of a peer: everything that it states about itself, from a registration, a
 * snapshot, or another registry. A record is checked once, where it arrives
 * (register_parse.h or the decoder here); all other code relies on that.
 */
#ifndef P2P_DISCOVERY_RECORD_H
#define P2P_DISCOVERY_RECORD_H

#include "p2p/about.h"
#include "p2p/addr.h"
#include "p2p/bytes.h"
#include "p2p/crypto.h"
#include "p2p/msg.h"

#define RECORD_IP_MAX 45

#define RECORD_VERSION 2

/* Further addresses of a peer: at most 8 and this many bytes of text. */
#define RECORD_ADDRESSES_MAX 512

struct record {
    struct p2p_id id;
    char ip[RECORD_IP_MAX + 1]; /* canonical text */
    /* The address of the sender as text; empty for a snapshot or another registry. Not
     * stored. */
    char from[RECORD_IP_MAX + 1];
    uint16_t port;
    /* Bit 0: protocol 1, bit 1: protocol 2; as bytes, bit 7: is_ip_claimed. */
    uint8_t protocols;
    bool is_ip_stated;  /* stated by the peer; otherwise it is the sender's address. Not
                         * stored. */
    bool is_ip_claimed; /* stated, and nothing supports it: the address may belong to
                         * someone else */
    bool is_signed;
    /* For unsigned records: the newer one has the higher stamp, see registry_put(). 0:
     * received just now. */
    uint64_t stamp;
    /* Signed ones only: */
    uint64_t seq;
    uint64_t expires_at_s; /* time of day */
    struct p2p_spki key;
    /* The claims of the peer about itself, under its second signature. Not among the
     * bytes of the record: a copy has them if record_get_claims put them here. */
    bool has_claims;
    struct p2p_about about;
    /* HOST:PORT in canonical form, with a space between two; "" for none. As `about`.
     */
    char addresses[RECORD_ADDRESSES_MAX + 1];
    /* Sorted by name, without duplicates. Unsigned entries have no root. */
    struct p2p_reg_entry *entries;
    uint32_t count;
    bool has_content; /* entries carry size and root */
    void *memory;     /* memory of the entries and names; owned by the record */
};

/* Frees the entries. */
void record_clear(struct record *r);

/* Adds an address to this list (of RECORD_ADDRESSES_MAX + 1 bytes), if other machines
 * may be able to use it and there is room: no loopback and no link-local address, whose
 * zone only its own machine knows. */
void record_add_address(char *list, const struct p2p_addr *addr);
/* True if an address of the list has this host. */
bool record_lists_host(const char *list, const char *ip);

/*
 * Encodes the record for snapshots and for other registries: u8 RECORD_VERSION, u8
 * flags, u64 seq or stamp, the other fields, the entries. *returns owned*, free().
 */
P2P_MUST_CHECK enum p2p_err record_encode(const struct record *r, uint8_t **bytes,
                                          size_t *len);
/* MALFORMED for anything that encode does not produce, an invalid name or key, and a
 * seq or stamp of 0. */
P2P_MUST_CHECK enum p2p_err record_decode(const void *bytes, size_t len,
                                          struct record *out);

/* The claims of a peer as bytes, which snapshots and other registries have beside its
 * record: u8 kind, u8 length, name, u16 length, addresses. */
#define RECORD_CLAIMS_MAX (4 + P2P_ABOUT_NAME_MAX + RECORD_ADDRESSES_MAX)
void record_put_claims(struct p2p_wr *wr, const struct p2p_about *about,
                       const char *addresses);
/* MALFORMED for anything that put_claims does not write. */
P2P_MUST_CHECK enum p2p_err record_get_claims(struct p2p_rd *rd,
                                              struct p2p_about *about,
                                              char addresses[RECORD_ADDRESSES_MAX + 1]);

/* Converts the text of an address at which a peer can be reached to its canonical text.
 * RANGE for addresses that no peer can have: "any" (0.0.0.0) and multicast. */
P2P_MUST_CHECK enum p2p_err record_parse_ip(const char *text,
                                            char out[RECORD_IP_MAX + 1]);

/* Canonical text to sixteen bytes, IPv4 as ::ffff:a.b.c.d. */
void record_read_ip(const char *text, uint8_t out[16]);
/*
 * True if the stated address is an unsupported claim: an Internet address that differs
 * from the sender's and is not near it (in the same /24 or /64). Claims from this
 * machine (loopback) are believed.
 */
bool record_ip_is_claimed(const char *stated, const char *from);

/* Sixteen bytes, IPv4 as ::ffff:a.b.c.d, to canonical text. */
void record_format_ip(const uint8_t ip[16], char out[RECORD_IP_MAX + 1]);

/* qsort order of entries and of texts: bytewise, as the canonical bytes require. */
int record_compare_entries(const void *a, const void *b);
int record_compare_texts(const void *a, const void *b);

#endif
