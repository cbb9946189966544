/*
 * versions - old contents of the files of one folder: what our programs replaced or
 * deleted there.
 *
 * A version is one content that a name had; its number is never used again for this
 * name. Its facts are in `.p2p/versions.db`. While it is kept, its content is a plain
 * file, `.p2p/versions/ab/ab12...` (the hash of its tree), which serves all versions
 * with that content. Files arrive in the mailbox (p2p/mailbox.h), and are recorded from
 * there: by p2p_versions_settle, and before a version is restored or removed.
 *
 * Versions age by a clock that counts the time that the machine runs (the kept clock).
 * A wrong date cannot hurry it. Nothing younger than `min-age` is removed for space,
 * except what the owner deleted, when a download or an upload needs the space.
 *
 * Thread-safe, and for several processes. Functions may read and hash files.
 */
#ifndef P2P_VERSIONS_H
#define P2P_VERSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/chunk.h"
#include "p2p/mailbox.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct p2p_versions; /* *returned owned*, free with p2p_versions_close */

/* Opens the versions beneath `root` (borrowed until close), and makes the database. A
 * damaged one is put aside as `versions.db.damaged`. */
P2P_MUST_CHECK enum p2p_err p2p_versions_open(const struct p2p_root *root,
                                              struct p2p_versions **out);
/* The same, but NOT_FOUND if there are none: nothing was ever replaced or deleted. */
P2P_MUST_CHECK enum p2p_err p2p_versions_open_existing(const struct p2p_root *root,
                                                       struct p2p_versions **out);
/* Makes p2p_versions_settle, p2p_versions_tend and p2p_versions_follow return soon
 * (CANCELLED, or what was done is all), now and later. Any thread. */
void p2p_versions_cancel(struct p2p_versions *v);
/* NULL is fine. */
void p2p_versions_close(struct p2p_versions *v);

/* ---- Recording and removing ---- */

/* Records what is in the mailbox. A file whose hash is unknown is read; one with more
 * than `read_max` bytes is left for later. */
P2P_MUST_CHECK enum p2p_err p2p_versions_settle(struct p2p_versions *v,
                                                uint64_t read_max);
/* Records what is in the mailbox, moves the kept clock, and removes what the settings
 * allow. Call it about once a minute. */
P2P_MUST_CHECK enum p2p_err p2p_versions_tend(struct p2p_versions *v);

struct p2p_share;
/* Records what other programs have changed or deleted since the last call, and copies
 * what is current now, so that it can be kept then: files of any size where the file
 * system can share blocks, small ones elsewhere, while there is room. `share` is that
 * of the same root. BUSY: another process does it now. */
P2P_MUST_CHECK enum p2p_err p2p_versions_follow(struct p2p_versions *v,
                                                struct p2p_share *share);

/* True if versions are switched on and a file that takes `bytes` on the disk can be
 * kept; removes old versions for that. */
bool p2p_versions_has_room(struct p2p_versions *v, uint64_t bytes);
/* Removes versions until about `bytes` are free for a download or an upload: first
 * those of files that the owner deleted, whatever their age, then those that are older
 * than min-age. Returns the bytes that were freed. */
uint64_t p2p_versions_make_room(struct p2p_versions *v, uint64_t bytes);

/* The kept clock: seconds that only rise while the machine runs. */
uint64_t p2p_versions_now(struct p2p_versions *v);

/* The bytes on the disk that p2p_versions_make_room could free now. */
uint64_t p2p_versions_spare(struct p2p_versions *v);

/* ---- Reading ---- */

#define P2P_VERSIONS_CURRENT 0

struct p2p_version {
    char name[P2P_NAME_MAX + 1];
    uint32_t version;
    enum p2p_mailbox_end end;
    uint64_t size;
    int64_t mtime_ns;
    uint64_t since_s, until_s; /* wall clock, for people; since: may be estimated */
    struct p2p_digest root;
    bool is_kept; /* its content can be restored */
    /* The content is removed after this time at the earliest, if no space is needed;
     * wall clock; 0: unknown. */
    uint64_t stays_until_s;
};
/* Runs under the lock of the versions, so it must not call their functions. */
typedef void p2p_versions_visit(void *arg, const struct p2p_version *version);

/* Visits the old versions of a name, newest first: those before `before` (0: all), at
 * most `max`. */
P2P_MUST_CHECK enum p2p_err p2p_versions_of(struct p2p_versions *v, const char *name,
                                            uint32_t before, size_t max,
                                            p2p_versions_visit *visit, void *arg);
/* Visits the last version of each deleted name beneath `folder` ("": all) that no file
 * has now, newest first: the first `skip` are passed over, at most `max` are visited.
 */
P2P_MUST_CHECK enum p2p_err p2p_versions_deleted(struct p2p_versions *v,
                                                 const char *folder, size_t skip,
                                                 size_t max, p2p_versions_visit *visit,
                                                 void *arg);
/* Finds one version: by its number, or P2P_VERSIONS_CURRENT for the newest. NOT_FOUND.
 */
P2P_MUST_CHECK enum p2p_err p2p_versions_find(struct p2p_versions *v, const char *name,
                                              uint32_t version,
                                              struct p2p_version *out);
/* Finds the version that was current at a time of the wall clock. NOT_FOUND: none, or
 * the present content. */
P2P_MUST_CHECK enum p2p_err p2p_versions_at(struct p2p_versions *v, const char *name,
                                            uint64_t time_s, struct p2p_version *out);
/* Opens a version's content for reading. NOT_FOUND; GONE: it is not kept. */
P2P_MUST_CHECK enum p2p_err p2p_versions_open_content(struct p2p_versions *v,
                                                      const char *name,
                                                      uint32_t version, int *fd,
                                                      struct p2p_version *out);

/* ---- For other devices ---- */

/* The owner decides with the setting `history` whether the devices that may download a
 * file see its old contents, too. They never see contents from before the file was
 * deleted, nor contents of a file that does not exist now. */

/* As p2p_versions_of, with what other devices may see. NOT_FOUND: nothing. */
P2P_MUST_CHECK enum p2p_err p2p_versions_shown(struct p2p_versions *v, const char *name,
                                               uint32_t before, size_t max,
                                               p2p_versions_visit *visit, void *arg);
/* Finds a kept content that other devices may have, with a name that `allows` accepts.
 * NOT_FOUND. */
P2P_MUST_CHECK enum p2p_err
p2p_versions_shown_root(struct p2p_versions *v, const struct p2p_digest *root,
                        bool (*allows)(void *arg, const char *name), void *arg,
                        struct p2p_version *out);
/* Opens a kept content with the layer of its tree, which may take a while for the first
 * time: the file is read. *Returns owned* `fd`, and `layer` with free(). GONE,
 * HASH_MISMATCH. */
P2P_MUST_CHECK enum p2p_err p2p_versions_open_tree(struct p2p_versions *v,
                                                   const struct p2p_digest *root,
                                                   int *fd, struct p2p_chunks *geometry,
                                                   struct p2p_digest **layer);

/* ---- Restoring ---- */

struct p2p_versions_restore {
    const char *name;
    uint32_t version;    /* P2P_VERSIONS_CURRENT: the newest that is kept */
    const char *save_as; /* NULL: the name itself */
    const struct p2p_mailbox_old *old; /* of a file that is replaced; may be NULL */
};
/* Makes the content current again under its name, where the present content becomes a
 * version itself; or under another, free name (EXISTS). `stored` (P2P_NAME_MAX + 1
 * bytes) gets the name. NOT_FOUND; GONE; HASH_MISMATCH: the kept content is damaged;
 * DISK_FULL. */
P2P_MUST_CHECK enum p2p_err p2p_versions_restore(struct p2p_versions *v,
                                                 const struct p2p_versions_restore *how,
                                                 char *stored);
struct p2p_versions_rewind {
    const char *folder; /* "": everything */
    uint64_t time_s;    /* wall clock */
    bool is_trial;      /* changes nothing */
    /* Called for each file that had another content then. GONE: it is not kept; other
     * errors as of p2p_versions_restore. */
    void (*visit)(void *arg, const struct p2p_version *version, enum p2p_err err);
    void *arg;
};
/* Restores what the files of a folder were at a time. Files that did not exist then
 * stay as they are. A rewind can be taken back by another one. */
P2P_MUST_CHECK enum p2p_err p2p_versions_rewind(struct p2p_versions *v,
                                                const struct p2p_versions_rewind *how);
/* Removes one version of the name for ever, or all (version 0). NOT_FOUND. */
P2P_MUST_CHECK enum p2p_err p2p_versions_purge(struct p2p_versions *v, const char *name,
                                               uint32_t version);

/* ---- Settings ---- */

struct p2p_versions_status {
    bool is_on;
    uint64_t rows, objects; /* versions, and contents that are kept */
    uint64_t used, cap;     /* bytes on the disk; how many at most */
    uint64_t base;          /* of `used`: copies of contents that are current */
    uint64_t floor;         /* bytes that stay free */
    uint64_t deleted_s;     /* how long versions of deleted files stay */
    uint64_t oldest_s;      /* when the oldest version ended; 0: there is none */
    bool is_stopped;        /* the cap is reached, and nothing may be removed yet */
};
/* Reads the numbers. */
P2P_MUST_CHECK enum p2p_err p2p_versions_status(struct p2p_versions *v,
                                                struct p2p_versions_status *out);
/* The keys are those of p2p_versions_key. `out` gets the value or its
 * default. NOT_FOUND: no such key. */
P2P_MUST_CHECK enum p2p_err p2p_versions_get(struct p2p_versions *v, const char *key,
                                             char *out, size_t cap);
/* USAGE: the value does not fit the key. NOT_FOUND: no such key. */
P2P_MUST_CHECK enum p2p_err p2p_versions_check(const char *key, const char *value);
/* Stores a value; NULL: uses the default again. Errors as of p2p_versions_check, and
 * those of the disk. */
P2P_MUST_CHECK enum p2p_err p2p_versions_set(struct p2p_versions *v, const char *key,
                                             const char *value);
/* The name of the setting at this place, with its meaning; NULL behind the last one. */
const char *p2p_versions_key(size_t i, const char **meaning);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
