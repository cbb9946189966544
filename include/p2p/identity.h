/*
 * identity - the identity of this machine, and the peers that it knows.
 *
 * A keys directory (0700) contains `private_key.pem` (PKCS#8, 0600, optionally with a
 * passphrase), `public_key.pem` and `known_peers` (0600). The key pair is created at
 * the first start. The peer id is the hex SHA-256 of the public PEM. A private key that
 * other users can read is refused, with a message that names the command to run.
 * known_peers has one line per peer. It is replaced as a whole (a temporary file is
 * written, flushed and renamed), and all programs of this directory share it: it is
 * locked during changes, and read again after a change. Thread-safe.
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

/* Reads one line from the terminal without echo; NULL: there is no terminal, or nothing
 * was typed. *Returns owned*, free with p2p_vault_free. */
char *p2p_passphrase_ask(const char *prompt);

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
 * Opens the directory. With `create`, makes it and the key pair if they are missing
 * (NOT_FOUND otherwise); if several programs start at once, one makes the pair and the
 * others find it. KEY_FILE: unreadable, not RSA-2048, readable by others, or in a
 * directory that others can write to; PASSPHRASE. A new key gets a passphrase if one of
 * the sources above, except the terminal, is set. `why` (may be NULL) gets a sentence
 * that tells what to do, at most cap bytes.
 */
P2P_MUST_CHECK enum p2p_err p2p_identity_open(const char *keys_dir, bool create,
                                              p2p_passphrase_fn *passphrase, void *arg,
                                              struct p2p_identity **out, char *why,
                                              size_t cap);
void p2p_identity_close(struct p2p_identity *identity); /* wipes */
/* Claims the keys directory for one serving program, until `*fd` (owned) is closed. It
 * has to exist. BUSY: another program on this machine has claimed it. */
P2P_MUST_CHECK enum p2p_err p2p_keys_claim(const char *keys_dir, int *fd);
/* True if a program has claimed it now. Creates nothing. */
bool p2p_keys_are_claimed(const char *keys_dir);

const struct p2p_rsa *
p2p_identity_key(const struct p2p_identity *identity); /* borrowed */
/* The peer id. Borrowed until close. */
const struct p2p_id *p2p_identity_id(const struct p2p_identity *identity);
const char *
p2p_identity_id_hex(const struct p2p_identity *identity); /* 64 digits, NUL */
/* The claims of this device about itself for the peers that it connects to (INFO). At
 * first it has no name. Copied. */
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
 * Client side, before data is transferred: checks whether the peer at `address` may
 * have the id `id`. `expected` (may be NULL) is the requested id; another one is
 * WRONG_PEER. KEY_CHANGED: another id is remembered for the address, unless the user
 * gave the id (`by_user`). A peer that was met before is accepted at a new address that
 * a registry tells, because addresses are reassigned and its key is the remembered one.
 * NOT_ALLOWED: the peer is blocked. Changes nothing, so it can also be used for lists.
 * After P2P_OK, call p2p_known_met when the peer has proven its identity.
 */
P2P_MUST_CHECK enum p2p_err p2p_known_check(struct p2p_identity *identity,
                                            const char *address,
                                            const struct p2p_id *expected, bool by_user,
                                            const struct p2p_id *id);
/* The same for a place with two addresses: the requested one (for example a name) and
 * the one that was reached (getpeername). Each may be NULL. The peer that is remembered
 * for the first one decides; if there is none, the peer that is remembered for the
 * second one. */
struct p2p_place {
    const char *asked, *reached;
};
P2P_MUST_CHECK enum p2p_err p2p_known_check_place(struct p2p_identity *identity,
                                                  const struct p2p_place *where,
                                                  const struct p2p_id *expected,
                                                  bool by_user,
                                                  const struct p2p_id *id);
/* Call it after KEY_CHANGED, when the peer has proven its key: stores the peer as
 * PENDING at the address that is remembered for another peer, so that `p2p peers trust
 * ID` can accept it. A known peer is not changed. NOT_FOUND: no peer is remembered for
 * the place. */
P2P_MUST_CHECK enum p2p_err p2p_known_note_newcomer(struct p2p_identity *identity,
                                                    const struct p2p_place *where,
                                                    const struct p2p_id *id);
/* Remembers a proven peer that the user wanted to connect to, a new one as SEEN, and
 * stores that `protocol` has worked. `address` may be NULL. A new address is added and
 * replaces the oldest one, but an address that is remembered for another peer stays
 * with that peer. NOT_ALLOWED: blocked. TOO_LARGE: the list is full of peers that were
 * met or decided about. Cheap without news: the file is written at most once an hour
 * for a peer. */
P2P_MUST_CHECK enum p2p_err p2p_known_met(struct p2p_identity *identity,
                                          const char *address, const struct p2p_id *id,
                                          uint8_t protocol);
/* Stores the claims of a proven peer about itself. NOT_FOUND, and nothing is written:
 * it is not in the list. Cheap if they did not change. */
P2P_MUST_CHECK enum p2p_err p2p_known_claim(struct p2p_identity *identity,
                                            const struct p2p_id *id,
                                            const struct p2p_about *claim);
/* For `p2p peers trust|block|forget`. A NULL name or address stays unchanged. TRUSTED
 * also moves its addresses from a former id to this one. USAGE: the file cannot store
 * the name or the address. TOO_LARGE: the list is full; forget some peers. */
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
