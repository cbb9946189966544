/*
 * intake - a folder of this machine into which guests of a link put files (PROTOCOL.md,
 * "Links that take files"): what they may still bring, the files that are not complete
 * yet, and the conversation with each guest. A file gets its name when all of it has
 * arrived and has the hash that the guest has computed; until then it is in the
 * folder's `.p2p`. It never replaces another one. What is incomplete stays for its
 * guest, who may lose the connection, until the intake is freed. Trust boundary: guests
 * know the secret of the link, and nothing else is known of them. It knows nothing of
 * registries and channels. Thread-safe.
 */
#ifndef P2P_INTAKE_H
#define P2P_INTAKE_H

#include "p2p/limits.h"
#include "p2p/link.h"
#include "p2p/path.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_INTAKE_NO_LIMIT   UINT64_MAX
#define P2P_INTAKE_FILES_MAX  10000 /* of one link */
#define P2P_INTAKE_PARTS_MAX  64    /* files that are not complete */
#define P2P_INTAKE_GUESTS_MAX 8     /* that are connected */
#define P2P_INTAKE_WRONG_MAX  5     /* PINs, then none is taken for a while */
#define P2P_INTAKE_LOCKED_MS  (15 * 60 * 1000)

enum p2p_intake_event {
    P2P_INTAKE_GUEST,  /* a guest has begun to bring files */
    P2P_INTAKE_STORED, /* a file is there, and proven */
    P2P_INTAKE_DONE,   /* a guest has finished */
};

struct p2p_intake_options {
    const struct p2p_root *root; /* borrowed until free */
    const char *title, *name; /* told to guests: of the link, of this device; copied */
    uint64_t expires_s;       /* by the time of day */
    uint64_t uses, bytes;     /* guests, and bytes in all; or P2P_INTAKE_NO_LIMIT */
    uint64_t keep_free;       /* bytes that stay free on the disk */
    bool is_signed;           /* told to guests: the answers to their calls are */
    bool has_pin;
    struct p2p_link_pin pin;
    /* On a guest's thread; `name` (the file's) is borrowed for the call. May be NULL.
     */
    void (*on_event)(void *arg, enum p2p_intake_event event, const char *name,
                     uint64_t size);
    void *arg;
};

struct p2p_intake; /* *returned owned*, free with p2p_intake_free */

/* NOMEM, BUSY, CRYPTO. Removes what runs that were killed left in the folder. */
P2P_MUST_CHECK enum p2p_err p2p_intake_new(const struct p2p_intake_options *opt,
                                           struct p2p_intake **out);
/* Talks with a guest until one side ends it; takes `fd`, a non-blocking stream. */
void p2p_intake_serve(struct p2p_intake *in, int fd, const struct p2p_guest_id *guest);
/* Ends all conversations, and begins no more. */
void p2p_intake_stop(struct p2p_intake *in);
/* When no serve runs any longer. Removes what is incomplete. NULL is fine. */
void p2p_intake_free(struct p2p_intake *in);

struct p2p_intake_status {
    uint64_t uses;     /* guests that have brought something */
    uint64_t done;     /* of these, those that have finished */
    uint64_t files;    /* that are complete */
    uint64_t received; /* bytes that have arrived */
    uint64_t uses_left, bytes_left;
    unsigned guests; /* that are connected */
    unsigned parts;  /* files that are not complete */
    /* One whose bytes come now; "": there is none. */
    char name[P2P_NAME_MAX + 1];
    uint64_t size, got;
};
/* What has happened so far. */
void p2p_intake_status(struct p2p_intake *in, struct p2p_intake_status *out);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
