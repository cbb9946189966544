/* intake_internal - an intake as its files see it: the guests, and the files that they
 * bring. */
#ifndef P2P_INTAKE_INTERNAL_H
#define P2P_INTAKE_INTERNAL_H

#include <stdatomic.h>

#include "p2p/about.h"
#include "p2p/crypto.h"
#include "p2p/guest_msg.h"
#include "p2p/intake.h"
#include "p2p/lock.h"
#include "p2p/stop.h"

#define INTAKE_TITLE_MAX  200
#define INTAKE_GUESTS_MET 256 /* that an intake remembers */
#define INTAKE_PRIVATE    48

/* A file that a guest brings. The guest's only session uses it; what says which file it
 * is does not change. */
struct intake_part {
    struct p2p_guest_id guest;
    char *name; /* cleaned */
    uint64_t size, mtime_s;
    char file[INTAKE_PRIVATE]; /* in `.p2p` */
    int fd;                    /* -1 when it is stored */
    _Atomic uint64_t got;
    struct p2p_sha256 *sha;
    char *stored; /* the name that it got; NULL: it is not complete */
};

struct intake_guest {
    struct p2p_guest_id id;
    bool is_done;
};

struct intake_session {
    int fd;
    struct p2p_guest_id guest;
    const struct intake_part *part; /* whose bytes come now; NULL: none */
};

P2P_MUTEX_KIND(intake_lock);
struct p2p_intake {
    struct p2p_intake_options opt;
    char title[INTAKE_TITLE_MAX + 1];
    char name[P2P_ABOUT_NAME_MAX + 1];
    uint64_t number; /* in the names of its private files */
    struct p2p_stop *stop;
    _Atomic uint64_t received;

    struct intake_lock lock;
    pthread_cond_t changed; /* a session has ended */
    struct intake_session sessions[P2P_INTAKE_GUESTS_MAX] P2P_GUARDED_BY(intake_lock);
    unsigned session_count P2P_GUARDED_BY(intake_lock);
    struct intake_guest met[INTAKE_GUESTS_MET] P2P_GUARDED_BY(intake_lock);
    size_t met_count P2P_GUARDED_BY(intake_lock);
    uint64_t uses_left P2P_GUARDED_BY(intake_lock);
    uint64_t bytes_left P2P_GUARDED_BY(intake_lock);
    struct intake_part *parts[P2P_INTAKE_FILES_MAX] P2P_GUARDED_BY(intake_lock);
    size_t part_count P2P_GUARDED_BY(intake_lock);
    unsigned incomplete P2P_GUARDED_BY(intake_lock);
    uint64_t last P2P_GUARDED_BY(intake_lock); /* private file */
    uint64_t uses P2P_GUARDED_BY(intake_lock), done P2P_GUARDED_BY(intake_lock),
        files P2P_GUARDED_BY(intake_lock);
    unsigned wrong P2P_GUARDED_BY(intake_lock); /* PINs in a row */
    uint64_t locked_until_ms P2P_GUARDED_BY(intake_lock);
};

/* ---- intake_store.c: the files ---- */

/* The file of this guest that HAVE names: a new one, one to continue, or one that is
 * stored. NOT_ALLOWED: the link is used up. `*result` says why there is none
 * otherwise. */
P2P_MUST_CHECK enum p2p_err p2p_intake_take(struct p2p_intake *in,
                                            const struct p2p_guest_id *guest,
                                            const struct p2p_have *have,
                                            struct intake_part **out,
                                            enum p2p_stored_result *result);
/* The next bytes of it. */
P2P_MUST_CHECK enum p2p_err p2p_intake_write(struct p2p_intake *in,
                                             struct intake_part *part,
                                             const void *bytes, size_t len);
/* All bytes are there: compares the hash and gives the file its name. After anything
 * but P2P_STORED_OK it is gone, but for P2P_STORED_DISK. */
enum p2p_stored_result p2p_intake_finish(struct p2p_intake *in,
                                         struct intake_part *part,
                                         const struct p2p_digest *sha256);
/* Removes what is incomplete, and gives its bytes back to the link. */
void p2p_intake_drop(struct p2p_intake *in, struct intake_part *part);
/* Removes what this guest has left incomplete; NULL: what anybody has. */
void p2p_intake_drop_all(struct p2p_intake *in, const struct p2p_guest_id *guest);
/* The guest says that it has finished. */
void p2p_intake_done(struct p2p_intake *in, const struct p2p_guest_id *guest);
/* Only for the end: frees what is known of all files. */
void p2p_intake_forget(struct p2p_intake *in);
/* Removes private files of runs that were killed. */
void p2p_intake_sweep(const struct p2p_root *root);

/* ---- intake_limits.c: what guests may ---- */

/* OK; AUTH: it is wrong; RATE_LIMITED: too many were. */
P2P_MUST_CHECK enum p2p_err p2p_intake_check_pin(struct p2p_intake *in,
                                                 const struct p2p_link_pin *pin);
void p2p_intake_tell(const struct p2p_intake *in, enum p2p_intake_event event,
                     const char *name, uint64_t size);

/* This session gets the bytes of this file now; NULL: of none. */
void p2p_intake_show(struct p2p_intake *in, int fd, const struct intake_part *part);

/* ---- intake_session.c: one guest ---- */

/* Until one side ends it. Borrows `fd`. */
void p2p_intake_talk(struct p2p_intake *in, int fd, const struct p2p_guest_id *guest);

#endif
