/*
 * identity - who this machine is, and whom it knows.
 *
 * A keys directory (0700) holds `private_key.pem` (PKCS#8, 0600, optionally with a
 * passphrase), `public_key.pem` and `known_peers` (0600). The key pair is made at first
 * start. Peer id = hex SHA-256 of the public PEM. A private key that others can read is
 * refused with a text that names the command. known_peers: one line a peer, replaced as
 * a whole (written aside, flushed, renamed), shared by all programs of this directory
 * (locked while it is changed, read again when it changed). Thread-safe.
 */
#ifndef P2P_IDENTITY_H
#define P2P_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/about.h"
#include "p2p/crypto.h"
#include "p2p/limits.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct p2p_identity; /* *returned owned*, free with p2p_identity_close */

/* How to get a passphrase when the key has one: returns owned text (the caller frees it
 * with p2p_vault_free) or NULL for none. See p2p_passphrase_default. */
typedef char *p2p_passphrase_fn(void *arg, const char *prompt);

/* Reads the passphrase from P2P_PASSPHRASE_FILE, the descriptor P2P_PASSPHRASE_FD, a
 * systemd credential ("key-passphrase" in $CREDENTIALS_DIRECTORY), or a prompt on the
 * terminal without echo. The descriptor gives its passphrase once. */
char *p2p_passphrase_default(void *arg, const char *prompt);

/* The source that p2p_passphrase_default uses: the first that is set. If that source
 * cannot be read, there is no passphrase; the next source is not tried. */
enum p2p_passphrase_source {
    P2P_PASSPHRASE_FROM_FILE,
    P2P_PASSPHRASE_FROM_DESCRIPTOR,
    P2P_PASSPHRASE_FROM_CREDENTIAL,
    P2P_PASSPHRASE_FROM_TERMINAL,
};
enum p2p_passphrase_source p2p_passphrase_source(void);

/*
 * Opens the directory, making it and the key pair when `create` (NOT_FOUND otherwise);
 * of programs that start at once one makes the pair and the others find it. KEY_FILE:
 * unreadable, not RSA-2048, readable by others, or in a directory that others can write
 * to; PASSPHRASE. A new key gets the passphrase when one of the sources above but the
 * terminal is set. `why` (may be NULL) gets a sentence that says what to do, cap bytes
 * at most.
 */
P2P_MUST_CHECK enum p2p_err p2p_identity_open(const char *keys_dir, bool create,
                                              p2p_passphrase_fn *passphrase, void *arg,
                                              struct p2p_identity **out, char *why,
                                              size_t cap);
void p2p_identity_close(struct p2p_identity *identity); /* wipes */
/* Claims this identity for one serving program, until close. BUSY: another program on
 * this machine has claimed it. */
P2P_MUST_CHECK enum p2p_err p2p_identity_claim(struct p2p_identity *identity);

const struct p2p_rsa *
p2p_identity_key(const struct p2p_identity *identity); /* borrowed */
/* The peer id. Borrowed until close. */
const struct p2p_id *p2p_identity_id(const struct p2p_identity *identity);
const char *
p2p_identity_id_hex(const struct p2p_identity *identity); /* 64 digits, NUL */
/* What this device says of itself to the peers it connects to (INFO). At first it has
 * no name. Copied. */
void p2p_identity_set_about(struct p2p_identity *identity,
                            const struct p2p_about *about);
/* As p2p_identity_set_about, the other way. */
void p2p_identity_get_about(struct p2p_identity *identity, struct p2p_about *out);
/* The canonical public key as text. Borrowed until close. */
const char *p2p_identity_public_pem(const struct p2p_identity *identity);

/* `p2p key ...`: set or remove (NULL) the passphrase; BUSY when the key was rotated
 * since it was opened. */
P2P_MUST_CHECK enum p2p_err p2p_identity_protect(struct p2p_identity *identity,
                                                 const char *passphrase);
/* Makes a new pair; the old one is kept as private_key.<unix time>.pem. NULL
 * passphrase: none. PASSPHRASE, and nothing changes, when that would replace a key that
 * has one and `may_clear` is false. `*id` is the new peer id. */
P2P_MUST_CHECK enum p2p_err p2p_identity_rotate(const char *keys_dir,
                                                const char *passphrase, bool may_clear,
                                                struct p2p_id *id);

/* ---- The seq of registrations ---- */

/*
 * Reads the last seq, which is kept beside the key, so that the next one is higher even
 * if the clock is wrong after a restart. NOT_FOUND: never stored. CORRUPT.
 */
P2P_MUST_CHECK enum p2p_err p2p_identity_load_seq(struct p2p_identity *identity,
                                                  uint64_t *seq);
/* Stores the last seq. Never lowers the stored value, unless `may_lower`. Errors of the
 * file system. */
P2P_MUST_CHECK enum p2p_err p2p_identity_store_seq(struct p2p_identity *identity,
                                                   uint64_t seq, bool may_lower);

/* ---- Known peers ---- */

enum p2p_trust {
    P2P_TRUST_UNKNOWN,
    P2P_TRUST_SEEN,    /* met by an action of the user: named by the user, or downloaded
                        * from */
    P2P_TRUST_TRUSTED, /* the user said so */
    P2P_TRUST_BLOCKED,
    P2P_TRUST_PENDING, /* authenticated, but only listed peers are allowed: waits for
                        * the user's decision */
};
/* The word in the known_peers file: "seen", "trusted", "blocked", "pending"; else
 * "unknown". */
const char *p2p_trust_name(enum p2p_trust trust);

#define P2P_ADDRESS_MAX        80 /* "host:port" as it is stored, with NUL */
#define P2P_PEER_ADDRESSES_MAX 4
#define P2P_PEER_NAME_MAX      64

struct p2p_known_peer {
    struct p2p_id id;
    enum p2p_trust trust;
    uint8_t min_protocol;             /* 2 once protocol 2 has worked */
    char name[P2P_PEER_NAME_MAX + 1]; /* given by the user; may be empty */
    struct p2p_about claim; /* its claims about itself, after it had proven its id */
    /* The addresses where it was met, the last one first; the unused ones at the end
     * are empty. */
    char addresses[P2P_PEER_ADDRESSES_MAX][P2P_ADDRESS_MAX];
    uint64_t first_seen_s, last_seen_s;
};
/* True if the peer has this address, in any spelling. */
bool p2p_known_is_at(const struct p2p_known_peer *peer, const char *address);

/* Finds a peer by its id. NOT_FOUND: it is not in the list. */
P2P_MUST_CHECK enum p2p_err p2p_known_find(struct p2p_identity *identity,
                                           const struct p2p_id *id,
                                           struct p2p_known_peer *out);
/* All of them; *returns owned* array of `*count`, free(). */
P2P_MUST_CHECK enum p2p_err p2p_known_list(struct p2p_identity *identity,
                                           struct p2p_known_peer **out, size_t *count);

/*
 * Client side, before data flows: may the peer that answers at `address` be `id`?
 * `expected` (may be NULL) is the id asked for: another one is WRONG_PEER. Unless it is
 * the user who gave it (`by_user`), an address that is remembered with another id is
 * KEY_CHANGED. Writes nothing, so that what is listed may be judged as well. Only a
 * peer that was met before may turn up there when a registry says so: addresses are
 * given to others, and its key is the one remembered. A blocked peer is NOT_ALLOWED.
 * P2P_OK says nothing is against it; call p2p_known_met once it has proven itself.
 */
P2P_MUST_CHECK enum p2p_err p2p_known_check(struct p2p_identity *identity,
                                            const char *address,
                                            const struct p2p_id *expected, bool by_user,
                                            const struct p2p_id *id);
/* The same for a place with two addresses: the one that was asked for (for example a
 * name) and the one that was reached (getpeername). Each may be NULL. The peer that is
 * remembered for the first one decides; if there is none, the peer that is remembered
 * for the second one. */
struct p2p_place {
    const char *asked, *reached;
};
P2P_MUST_CHECK enum p2p_err p2p_known_check_place(struct p2p_identity *identity,
                                                  const struct p2p_place *where,
                                                  const struct p2p_id *expected,
                                                  bool by_user,
                                                  const struct p2p_id *id);
/* After KEY_CHANGED, and once the peer has proven its key: notes it as PENDING at the
 * address that is remembered for another peer, so that `p2p peers trust ID` can accept
 * it. A peer that is remembered already is not changed. NOT_FOUND: no peer is
 * remembered for the place. */
P2P_MUST_CHECK enum p2p_err p2p_known_note_newcomer(struct p2p_identity *identity,
                                                    const struct p2p_place *where,
                                                    const struct p2p_id *id);
/* Remembers a proven peer that the user meant to deal with: new ones as SEEN, and that
 * `protocol` has worked. `address` may be NULL; a new one is added and the one met
 * longest ago makes room, but one that is remembered for another peer stays with that
 * one. NOT_ALLOWED: blocked. TOO_LARGE: the list is full; nobody who was met or decided
 * about makes room. Cheap when nothing is new: the file is written at most once an hour
 * for a peer. */
P2P_MUST_CHECK enum p2p_err p2p_known_met(struct p2p_identity *identity,
                                          const char *address, const struct p2p_id *id,
                                          uint8_t protocol);
/* What the proven peer says of itself. NOT_FOUND, and nothing is written: it is not in
 * the list. Cheap when it says the same as before. */
P2P_MUST_CHECK enum p2p_err p2p_known_claim(struct p2p_identity *identity,
                                            const struct p2p_id *id,
                                            const struct p2p_about *claim);
/* `p2p peers trust|block|forget`. NULL name or address: as it is. TRUSTED also moves
 * its addresses from a former id to this one. USAGE: a name or an address that cannot
 * stand in the file. TOO_LARGE: the list is full; forget some. */
P2P_MUST_CHECK enum p2p_err p2p_known_set(struct p2p_identity *identity,
                                          const struct p2p_id *id, enum p2p_trust trust,
                                          const char *name, const char *address);
/* Removes the peer and its addresses from the list. NOT_FOUND. */
P2P_MUST_CHECK enum p2p_err p2p_known_forget(struct p2p_identity *identity,
                                             const struct p2p_id *id);
/* Parses an id that a user typed: 64 hex digits, or a unique prefix of at least 8
 * digits of a known peer's id, with or without the "..." that lists append. NOT_FOUND:
 * no such peer; USAGE: not an id, or not unique. */
P2P_MUST_CHECK enum p2p_err p2p_known_resolve(struct p2p_identity *identity,
                                              const char *text, struct p2p_id *out);
/* Writes the sentence for a person about KEY_CHANGED, WRONG_PEER or NOT_ALLOWED at this
 * address: what happened, and which command accepts the new key. */
/* NULL for `id`: the answering peer is unknown. */
void p2p_known_explain(enum p2p_err err, const char *address, const struct p2p_id *id,
                       char *out, size_t cap);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
