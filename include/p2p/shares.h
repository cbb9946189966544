/*
 * shares - several shared folders as one list of names.
 *
 * One folder may have bare names ("film.mkv"); every other one has a name of its own,
 * which stands before its files ("Photos/2026/a.jpg"). Each folder is a share of its
 * own (p2p/share.h), with its own index in its `.p2p`. Nothing is copied. A folder of
 * the bare one that has the name of another shared folder is hidden by it; see
 * p2p_shares_check.
 *
 * Thread-safe, as share.h.
 */
#ifndef P2P_SHARES_H
#define P2P_SHARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/sandbox.h"
#include "p2p/share.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_SHARES_MAX      16
#define P2P_SHARES_NAME_MAX 255

/* ---- Which folders ---- */

struct p2p_shares_folder {
    char name[P2P_SHARES_NAME_MAX + 1]; /* "": its names are bare */
    const char *path;                   /* part of the text it was read from */
};
struct p2p_shares_folders {
    struct p2p_shares_folder at[P2P_SHARES_MAX];
    size_t count;
};

/* The path in a text PATH or NAME=PATH, borrowed from it; `*name_len` is the length of
 * the name, 0 if there is none. A '=' behind a '/' belongs to the path. */
const char *p2p_shares_path(const char *text, size_t *name_len);
/* Reads the values of --shared-dir. The first one without a name has bare names; each
 * later one without a name is called like its folder. `out` borrows from the texts.
 * USAGE: a name that cannot be shared, two folders with one name, a path that appears
 * twice, no folder, or too many; `why` gets a sentence. */
P2P_MUST_CHECK enum p2p_err p2p_shares_parse(const char *const *texts, size_t count,
                                             struct p2p_shares_folders *out, char *why,
                                             size_t cap);
/* Looks at the disk. EXISTS: the folder with bare names has an entry that is called
 * like another shared folder; `why` gets a sentence. */
P2P_MUST_CHECK enum p2p_err p2p_shares_check(const struct p2p_shares_folders *folders,
                                             char *why, size_t cap);

/* What a program does with its shared folders. */
struct p2p_shares_sandbox {
    const char *keys_dir, *program; /* as in p2p_share_options; borrowed */
    bool may_change; /* it writes to the folders; otherwise only to their `.p2p` */
};
/* Adds the folders to the rules of a sandbox, and makes the parent watch them. A folder
 * is created if it is missing and never had a file. `allowed` gets those that can be
 * used, with borrowed paths: the disk of one may be away while the others are there. It
 * is an error only when none is left, or when p2p_shares_check finds one. Logs what is
 * wrong. */
P2P_MUST_CHECK enum p2p_err p2p_shares_allow(struct p2p_sandbox_rules *rules,
                                             const struct p2p_shares_folders *all,
                                             const struct p2p_shares_sandbox *how,
                                             struct p2p_shares_folders *allowed);

/* ---- The shares ---- */

struct p2p_shares; /* *returned owned*, free with p2p_shares_close */

/* Opens a share for each folder, as p2p_share_open. `opt` is for each of them:
 * `directory` is not used, and `on_change` may be called by several threads at once.
 * `folders` is copied, its paths are borrowed until close. After an error, `*failed` is
 * the position of the folder that could not be opened. */
P2P_MUST_CHECK enum p2p_err p2p_shares_open(const struct p2p_shares_folders *folders,
                                            const struct p2p_share_options *opt,
                                            struct p2p_shares **out, size_t *failed);
/* NULL is fine. */
void p2p_shares_close(struct p2p_shares *shares);

/* The folders that were opened. Borrowed until close. */
const struct p2p_shares_folders *p2p_shares_folders(const struct p2p_shares *shares);
/* One of them. Borrowed until close. */
struct p2p_share *p2p_shares_at(const struct p2p_shares *shares, size_t i);
/* The share that has this name, and the name in it (borrowed from `name`). NULL: the
 * name belongs to no folder. */
struct p2p_share *p2p_shares_of(const struct p2p_shares *shares, const char *name,
                                const char **inner);

/* As the functions of share.h, with names that begin with their folder's. */
P2P_MUST_CHECK enum p2p_err p2p_shares_find_name(struct p2p_shares *shares,
                                                 const char *name,
                                                 struct p2p_share_entry *out);
/* As p2p_share_find_root. */
P2P_MUST_CHECK enum p2p_err p2p_shares_find_root(struct p2p_shares *shares,
                                                 const struct p2p_digest *root,
                                                 struct p2p_share_entry *out);
/* As p2p_share_find_root_if; `allows` gets the names with their folder's. */
P2P_MUST_CHECK enum p2p_err p2p_shares_find_root_if(struct p2p_shares *shares,
                                                    const struct p2p_digest *root,
                                                    p2p_share_allows *allows, void *arg,
                                                    struct p2p_share_entry *out);
/* As p2p_share_layer. */
P2P_MUST_CHECK enum p2p_err p2p_shares_layer(struct p2p_shares *shares,
                                             const struct p2p_digest *root,
                                             uint64_t first, uint32_t count,
                                             struct p2p_digest *out);
/* As p2p_share_list. Files whose name gets too long are left out. */
P2P_MUST_CHECK enum p2p_err p2p_shares_list(struct p2p_shares *shares,
                                            const char *after,
                                            struct p2p_share_entry *out, size_t max,
                                            size_t *count);
/* As p2p_share_list_all. */
P2P_MUST_CHECK enum p2p_err p2p_shares_list_all(struct p2p_shares *shares,
                                                const char *after,
                                                struct p2p_share_entry *out, size_t max,
                                                size_t *count);
/* The lists of changes of several folders as one. */
struct p2p_shares_feed {
    uint32_t log;  /* as in struct p2p_share_feed */
    uint64_t last; /* the place of the last change */
    uint64_t seen; /* up to here everything was visited; `after` if that is not known */
    bool is_known; /* `after` is a place in this list, and all deletions since are known
                    */
    bool is_whole; /* everything was visited */
    bool
        is_sorted; /* a visited change number is a place. The changes of several folders
                    * have no common order: they are all visited, or none counts */
};
/* As p2p_share_changes, for what is in `folder`, a name of these shares ("":
 * everything), or for all folders that may have it. `log` and `after` are a place that
 * an earlier call told. A name may be visited that did not change. */
void p2p_shares_changes(struct p2p_shares *shares, const char *folder, uint32_t log,
                        uint64_t after, p2p_share_visit_change *visit, void *arg,
                        struct p2p_shares_feed *out);
/* The sums; is_away if any of the folders is. */
void p2p_shares_totals(struct p2p_shares *shares, struct p2p_share_totals *out);
/* As p2p_share_file_open. */
P2P_MUST_CHECK enum p2p_err p2p_shares_file_open(struct p2p_shares *shares,
                                                 const struct p2p_digest *root,
                                                 struct p2p_share_file **out);
/* The name of an open file of these shares, with its folder's. Writes at most
 * P2P_NAME_MAX + 1 bytes; returns out. */
const char *p2p_shares_file_name(const struct p2p_shares *shares,
                                 const struct p2p_share_file *file, char *out);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
