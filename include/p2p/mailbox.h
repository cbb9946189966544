/*
 * mailbox - where a file goes that one of our programs replaces or deletes.
 *
 * The file is renamed into `.p2p/versions/in/`, and a note beside it tells its name and
 * what ended it. p2p/versions.h records it from there. The note is written first, so a
 * program that is killed anywhere leaves either the old or the new file under the name,
 * and the old content is never lost: p2p_mailbox_visit repairs steps that were begun.
 *
 * A program that takes a file holds a lock on the note; visits skip it meanwhile.
 * Thread-safe, and for several processes.
 */
#ifndef P2P_MAILBOX_H
#define P2P_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "p2p/crypto.h"
#include "p2p/limits.h"
#include "p2p/path.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_MAILBOX_ID_LEN 16

/* What ended a content. The numbers are stored. */
enum p2p_mailbox_end { P2P_MAILBOX_REPLACED = 1, P2P_MAILBOX_DELETED = 2 };

/* What the caller knows about the content that goes; NULL or zeros: nothing. */
struct p2p_mailbox_old {
    uint32_t version; /* 0: unknown */
    bool root_known;  /* `root` is that of the file in this state: */
    struct p2p_digest root;
    uint64_t size, inode;
    int64_t mtime_ns;
    bool may_drop; /* it may be dropped if there is no room for it */
};

/* Takes the public file `name` away. Folders left empty are removed. NOT_FOUND for
 * anything but a regular file. */
P2P_MUST_CHECK enum p2p_err p2p_mailbox_take(const struct p2p_root *root,
                                             const char *name,
                                             const struct p2p_mailbox_old *old);
/* As p2p_root_publish with P2P_CONFLICT_VERSION, with what is known about the file that
 * is replaced. */
P2P_MUST_CHECK enum p2p_err
p2p_mailbox_publish(const struct p2p_root *root, const char *private_name,
                    const char *name, const struct p2p_mailbox_old *old, char *stored);

struct p2p_mailbox_note {
    enum p2p_mailbox_end end;
    bool may_drop;
    bool is_moving;  /* replaced by two renames, and the second one was not confirmed */
    bool root_known; /* `root` is that of the file in the state below */
    uint32_t version;
    uint64_t until_s; /* wall clock */
    uint64_t size, inode;
    int64_t mtime_ns;
    struct p2p_digest root;
    char name[P2P_NAME_MAX + 1];
};
/* Called for a file that was taken: `in` is the mailbox (borrowed), `id` the file in
 * it. P2P_OK: the file was moved away or removed, and its note can go. An error leaves
 * both and does not stop the visit. */
typedef enum p2p_err p2p_mailbox_visitor(void *arg, int in, const char *id,
                                         const struct p2p_mailbox_note *note);
/* Repairs what killed programs left, and visits the rest. `*left`: the files that were
 * left. P2P_OK if there is no mailbox. */
P2P_MUST_CHECK enum p2p_err p2p_mailbox_visit(const struct p2p_root *root,
                                              p2p_mailbox_visitor *visit, void *arg,
                                              size_t *left);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
