/*
 * offers - files that lie anywhere and are served to a few peers for some time
 * (`p2p send`). A program of the owner hands them over as open files, with their
 * hashes, so this process neither knows their paths nor reads anything else. Each offer
 * has a number of 8 hex digits; its files are served as `sent-NUMBER/NAME`, to the
 * peers that it was opened for, and to nobody else. An offer ends when its program says
 * so, or has not been heard of for a minute.
 *
 * Thread-safe. Lookups wait for nothing but the lock, and no file is touched under it.
 * Only offers_file_open asks the file system, after it released the lock.
 */
#ifndef PEER_OFFERS_H
#define PEER_OFFERS_H

#include <sys/stat.h>

#include "p2p/share.h"

struct offers; /* *returned owned*, free with offers_free */

#define OFFERS_MAX           32
#define OFFERS_FILES_MAX     20000 /* of one */
#define OFFERS_FILES_IN_ALL  40000
#define OFFERS_RECEIVERS_MAX 64
#define OFFERS_LAYERS_MAX    (256u * 1024 * 1024) /* bytes, of all */
#define OFFERS_SILENCE_MS    60000

/* Without offers; *returns owned*, free with offers_free. */
P2P_MUST_CHECK enum p2p_err offers_new(struct offers **out);
/* NULL is fine. */
void offers_free(struct offers *o);
/* Closes the files of offers whose program is gone. Lookups skip them before that. NULL
 * is fine. */
void offers_sweep(struct offers *o);

/* Begins an offer without files. EXISTS; TOO_LARGE: there are too many. */
P2P_MUST_CHECK enum p2p_err offers_begin(struct offers *o, uint32_t number);
/* One file of an offer; a name that ends in '/' is an empty folder (`fd` is -1). */
struct offers_file {
    const char *name; /* without the number, checked by the callee; copied */
    int fd;           /* duplicated */
    struct stat hashed;
    struct p2p_share_entry entry; /* all but the name */
    struct p2p_digest *layer;     /* of entry.geometry.count hashes, checked; *taken* */
};
/* NAME, TOO_LARGE; NOT_FOUND: no such offer, or it is open for somebody already. */
P2P_MUST_CHECK enum p2p_err offers_add(struct offers *o, uint32_t number,
                                       struct offers_file *file);
/* These files of the shares are given to the receivers of the offer as well, although a
 * rule hides them (`p2p folder private`). TOO_LARGE, NOT_FOUND. */
P2P_MUST_CHECK enum p2p_err offers_allow(struct offers *o, uint32_t number,
                                         const struct p2p_digest *roots, size_t count);
/* May this peer have a file of the shares because of an offer? NULL is fine. */
bool offers_allows(struct offers *o, const struct p2p_id *peer,
                   const struct p2p_digest *root);
/* From now on this peer gets the files. TOO_LARGE, NOT_FOUND. */
P2P_MUST_CHECK enum p2p_err offers_open(struct offers *o, uint32_t number,
                                        const struct p2p_id *peer);
/* The program is still there. NOT_FOUND. */
P2P_MUST_CHECK enum p2p_err offers_renew(struct offers *o, uint32_t number);
/* Is it there? */
bool offers_exists(struct offers *o, uint32_t number);
/* True if it was there. */
bool offers_end(struct offers *o, uint32_t number);

/* Does an offer exist for this peer? NULL is fine, for both. */
bool offers_has(struct offers *o, const struct p2p_id *peer);

/* The lookups of share.h, among the files that this peer gets. */
P2P_MUST_CHECK enum p2p_err offers_find_name(struct offers *o,
                                             const struct p2p_id *peer,
                                             const char *name,
                                             struct p2p_share_entry *out);
/* As p2p_share_find_root. */
P2P_MUST_CHECK enum p2p_err offers_find_root(struct offers *o,
                                             const struct p2p_id *peer,
                                             const struct p2p_digest *root,
                                             struct p2p_share_entry *out);
/* As p2p_share_layer. */
P2P_MUST_CHECK enum p2p_err offers_layer(struct offers *o, const struct p2p_id *peer,
                                         const struct p2p_digest *root, uint64_t first,
                                         uint32_t count, struct p2p_digest *out);
/* As p2p_share_file_open. */
P2P_MUST_CHECK enum p2p_err offers_file_open(struct offers *o,
                                             const struct p2p_id *peer,
                                             const struct p2p_digest *root,
                                             struct p2p_share_file **out);
/* As p2p_share_list_all. */
size_t offers_list(struct offers *o, const struct p2p_id *peer, const char *after,
                   struct p2p_share_entry *out, size_t max);

#endif
