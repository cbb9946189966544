/*
 * identity_internal - declarations shared by the files of the identity module:
 * identity.c (open, close, getters), identity_key.c (the key files), known.c (the
 * table), known_file.c (its file).
 */
#ifndef P2P_IDENTITY_INTERNAL_H
#define P2P_IDENTITY_INTERNAL_H

#include <pthread.h>
#include <sys/stat.h>

#include "core/disk/beneath.h"
#include "p2p/identity.h"
#include "p2p/lock.h"

#define P2P_PRIVATE_KEY_FILE "private_key.pem"
#define P2P_PUBLIC_KEY_FILE  "public_key.pem"

/* The known peers in memory, sorted by id, and the state of the file that they were
 * read from. */
struct p2p_known {
    struct p2p_known_peer *peers;
    size_t count, cap;
    size_t damaged;   /* lines of the file that could not be read */
    struct stat file; /* the file when it was loaded; st_ino is 0 if there was none */
};

P2P_MUTEX_KIND(p2p_known_lock);
struct p2p_identity {
    struct p2p_root *dir;
    struct p2p_rsa *rsa;
    struct p2p_id id;
    char id_hex[P2P_ID_HEX_LEN + 1];
    char public_pem[P2P_PEM_LEN + 1];
    struct stat key_file;
    struct p2p_known_lock lock;
    struct p2p_about about P2P_GUARDED_BY(p2p_known_lock);
    struct p2p_known known P2P_GUARDED_BY(p2p_known_lock);
};

/* Locks the keys directory against other programs and threads. Returns a descriptor;
 * closing it unlocks. */
P2P_MUST_CHECK enum p2p_err p2p_keys_lock(int dir, int *lock);

/* Loads the key pair, or creates one if there is none and `create` is true. `why` as in
 * p2p_identity_open. */
struct p2p_key_request {
    const char *keys_dir;
    bool create;
    p2p_passphrase_fn *passphrase;
    void *arg;
    char *why;
    size_t cap;
};
P2P_MUST_CHECK enum p2p_err p2p_keys_obtain(struct p2p_identity *identity,
                                            const struct p2p_key_request *request);

/* Reads the file again if it changed. An unreadable file is an error and leaves the
 * table as it was. */
P2P_MUST_CHECK enum p2p_err p2p_known_load(int dir, struct p2p_known *known);
/* Writes the table. If the old file has damaged lines, it is kept as
 * known_peers.damaged. The caller holds the directory's lock. */
P2P_MUST_CHECK enum p2p_err p2p_known_save(int dir, struct p2p_known *known);
void p2p_known_clear(struct p2p_known *known);

/* Returns the position of `id` in the table, or where it would be inserted; `*found`
 * tells which. */
size_t p2p_known_index(const struct p2p_known *known, const struct p2p_id *id,
                       bool *found);
/* Inserts an empty entry for `id` at its place. */
P2P_MUST_CHECK enum p2p_err p2p_known_insert(struct p2p_known *known,
                                             const struct p2p_id *id,
                                             struct p2p_known_peer **out);

/* Takes a row out of the table in memory. */
void p2p_known_remove(struct p2p_known *known, size_t i);
/* Puts an address first in the list. An address that is there already moves to the
 * front; if the list is full, the last address is removed. */
void p2p_known_put_address(struct p2p_known_peer *peer, const char *address);
/* True if the list contains this canonical address; always false for "". */
bool p2p_known_has_address(const struct p2p_known_peer *peer, const char *address);
/* The one form in which addresses are compared (addr.h). A text that is not an address
 * stays as it is; one that is too long becomes empty. */
void p2p_known_canonical(const char *address, char out[P2P_ADDRESS_MAX]);
void p2p_known_drop_address(struct p2p_known_peer *peer, const char *address);
/* Returns NULL if there is no such peer; borrowed until the next change. */
struct p2p_known_peer *p2p_known_peer_of(const struct p2p_known *known,
                                         const struct p2p_id *id);
/* The peer that an address is remembered for. Pending peers, which wait for the user's
 * decision, have no claim to an address. */
struct p2p_known_peer *p2p_known_holder_of(const struct p2p_known *known,
                                           const char *address);
/* Inserts a peer that was met now. If the table is full, the pending peer that was seen
 * longest ago is removed. TOO_LARGE when there is none. */
P2P_MUST_CHECK enum p2p_err p2p_known_add(struct p2p_known *known,
                                          const struct p2p_id *id, enum p2p_trust trust,
                                          struct p2p_known_peer **out);

/* True for values that the file can store: an address is printable ASCII without spaces
 * and commas, a name is UTF-8 without control characters. Both may be empty. */
bool p2p_known_address_is_valid(const char *address);
bool p2p_known_name_is_valid(const char *name);

#endif
