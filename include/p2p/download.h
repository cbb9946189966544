/*
 * download - downloads one file (or one folder) from any number of sources and verifies
 * it.
 *
 * Trust decides which peers are asked (rank.h): trusted peers first, then those that
 * were met, then others in random order, only a few of one network. Without a root, the
 * best of them decides which content the name means. One plan covers all sources: which
 * chunk is requested from which source. Request windows follow the measured rate and
 * round trip, and connections are added while they help. Slow, dead and lying sources
 * are reported and dropped. Each chunk is checked against the layer before it counts. A
 * thread of its own computes the SHA-256 of the whole file. A journal keeps the
 * progress, so that nothing is lost. Nothing appears under the wanted name before
 * everything is verified and flushed.
 *
 * A folder (a name that ends in '/') means every file in it: small ones are downloaded
 * whole, many at a time, and published in batches; large ones are downloaded one after
 * the other, each with a journal. Existing files with the same content are left alone,
 * so a repeated request resumes an interrupted folder.
 *
 * Protocol 1 has no tree: one source at a time, no folders, no resume; only the whole
 * file's SHA-256 is checked.
 *
 * A download has its own threads; the functions here are thread-safe. Callbacks come
 * from those threads, one at a time, and may call every function here except
 * p2p_download_free.
 */
#ifndef P2P_DOWNLOAD_H
#define P2P_DOWNLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/crypto.h"
#include "p2p/discovery.h"
#include "p2p/identity.h"
#include "p2p/path.h"
#include "p2p/rank.h"
#include "p2p/rate.h"
#include "p2p/reach.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

enum p2p_download_state {
    P2P_DL_CONNECTING,
    P2P_DL_DOWNLOADING,
    P2P_DL_VERIFYING, /* all bytes are here; the whole-file hash is finishing */
    P2P_DL_PAUSED,    /* by the user, or waiting (the error tells for what: disk full,
                       * no source) */
    P2P_DL_COMPLETED,
    P2P_DL_FAILED,
    P2P_DL_CANCELLED,
};
const char *p2p_download_state_name(enum p2p_download_state state); /* "downloading" */

enum p2p_verify {
    P2P_VERIFY_FULL, /* tree, and the whole file's SHA-256 */
    P2P_VERIFY_TREE,
};

/* A source. `id` NULL: the peer that is remembered for this address, or a first
 * contact. */
struct p2p_source_spec {
    struct p2p_addr addr;
    const struct p2p_id *id;
    bool by_user;      /* the user gave the id, not a registry: see p2p_known_check */
    bool is_unreached; /* a registry could not connect to `addr` */
    /* Further addresses of this peer (p2p_addr_list_read); they need an id. */
    char others[P2P_PEER_OTHERS_TEXT];
};

/* One file of a list. */
struct p2p_wanted {
    const char *name;    /* at the sources */
    const char *save_as; /* beneath the downloads directory */
    const char *base;    /* NULL, or a file there that may have this content */
    struct p2p_digest root;
    uint64_t size, mtime_s;
};

struct p2p_download_options {
    struct p2p_identity *identity;    /* borrowed until free */
    const struct p2p_root *downloads; /* borrowed until free */
    const char *name;                 /* copied; a name ending in '/' is a folder */
    const struct p2p_digest *root;    /* NULL: the first source decides (copied) */
    const char *save_as;              /* NULL: name */
    /* A file beneath the downloads directory that may have much of the content: only
     * what differs is downloaded. NULL: the one at `save_as`. Copied. */
    const char *base;
    enum p2p_on_conflict conflict; /* default RENAME */
    /* At least one, copied. rank.h decides which of them are asked; the others wait. */
    const struct p2p_source_spec *sources;
    size_t source_count;
    struct p2p_discovery
        *discovery; /* may be NULL; asked for more sources by root; borrowed */
    /* May be NULL: other ways to sources that are known by id, see conn.h; borrowed */
    const struct p2p_reach *reach;
    unsigned connections;  /* per source to begin with; 0: default */
    uint64_t timeout_ms;   /* 0: default */
    struct p2p_rate *rate; /* may be NULL; shared by downloads; borrowed */
    enum p2p_verify verify;
    int protocol; /* 2 (default when 0) or 1 */
    unsigned
        retries; /* rounds over all sources without progress before it fails; 0: 5 */
    /* The size that was announced (by a registry, a search, the user): a source that
     * states another size is refused. Without a root, the file may have changed since
     * then, so only a much larger one is refused. */
    bool size_announced;
    uint64_t announced_size;
    uint64_t keep_free; /* bytes that stay free on the disk, 5 % of it at most */
    /* For a folder: downloads these files, instead of those that a source lists. `name`
     * is then only for messages. Copied. */
    const struct p2p_wanted *list;
    size_t list_count;
    /* Before a file that changed at its source is asked for again, and twice as long
     * each time. 0: default. */
    uint64_t restart_ms;
    /* Called with the `arg` of on_event when the bytes that a reader waits for have
     * arrived, from any thread, several at a time; must not block. May be NULL. */
    void (*on_readable)(void *arg);
};

/* Sources at a time. Of these places, P2P_DOWNLOAD_SOURCES_KEPT are reserved for peers
 * that are trusted or were met. Other candidates wait, and take the place of a source
 * that fails. */
#define P2P_DOWNLOAD_SOURCES_MAX  32
#define P2P_DOWNLOAD_SOURCES_KEPT 8
#define P2P_DOWNLOAD_WAITING_MAX  1024

enum p2p_source_state {
    P2P_SRC_CONNECTING,
    P2P_SRC_ACTIVE,
    P2P_SRC_SLOW,
    P2P_SRC_RETRYING, /* backing off after a failure */
    P2P_SRC_DROPPED,  /* sent wrong data or does not have it: not asked again in this
                       * session */
};
/* "connecting", "active", "slow", "retrying" or "dropped"; "unknown" for anything else.
 */
const char *p2p_source_state_name(enum p2p_source_state state);

struct p2p_source_status {
    struct p2p_id id;
    bool id_known;
    struct p2p_addr addr;
    enum p2p_rank who; /* trusted, known or new: before this download */
    enum p2p_source_state state;
    enum p2p_err error; /* why RETRYING or DROPPED */
    uint64_t received;  /* verified bytes from it */
    uint64_t speed;     /* bytes per second, smoothed */
    unsigned connections;
    bool path_known; /* it was connected */
    enum p2p_path_kind path;
    uint64_t rtt_us; /* round trip of the path; 0: unknown */
};

struct p2p_download_status {
    enum p2p_download_state state;
    enum p2p_err error; /* why FAILED or PAUSED */
    char
        message[256]; /* a sentence for people: what happened, which peer, what to do */
    char name[P2P_NAME_MAX + 1];
    char stored[P2P_NAME_MAX +
                1];      /* COMPLETED: the name below the downloads directory */
    bool already_there;  /* COMPLETED: nothing had to be downloaded */
    uint64_t retry_in_s; /* time until the sources are asked again; 0: not waiting */
    uint32_t
        files_renamed; /* files of a folder whose own names the file system refuses */
    char works[P2P_NAME_MAX + 1]; /* TARGET_NAME: a name that would work, or "" */
    uint64_t size;                /* known when size_known */
    bool size_known;
    struct p2p_digest root, sha256;
    bool root_known,
        sha256_known;  /* sha256: stated by the source; COMPLETED: computed */
    uint64_t received; /* bytes received over the network in this run, including wrong
                          ones */
    uint64_t reused;   /* verified bytes that came from files that were here, in this
                          run */
    uint64_t verified; /* verified bytes on disk, including those of earlier runs */
    uint64_t hashed;   /* progress of the whole-file hash (VERIFYING) */
    uint64_t speed;    /* bytes per second, smoothed */
    uint64_t eta_s;    /* UINT64_MAX: unknown */
    uint32_t files_done, files_total; /* folders; 0/1 of 1 for a file */
    size_t source_count;
    struct p2p_source_status sources[P2P_DOWNLOAD_SOURCES_MAX];
};

struct p2p_download; /* *returned owned*, free with p2p_download_free */

/* Called on each change of state, and at most four times per second while bytes
 * arrive. */
typedef void p2p_download_event(void *arg, const struct p2p_download_status *status);

/* Checks the options (USAGE, NAME) and starts. The last event has state COMPLETED,
 * FAILED or CANCELLED. */
P2P_MUST_CHECK enum p2p_err p2p_download_start(const struct p2p_download_options *opt,
                                               p2p_download_event *on_event, void *arg,
                                               struct p2p_download **out);
/* Copies the current state. From any thread. */
void p2p_download_status(struct p2p_download *dl, struct p2p_download_status *out);
/* True if a file of the list is here now, verified, or was before. */
bool p2p_download_has_file(struct p2p_download *dl, size_t index);
/* Adds a source that was found later; duplicates are ignored. TOO_LARGE: the list is
 * full of better candidates. */
P2P_MUST_CHECK enum p2p_err
p2p_download_add_source(struct p2p_download *dl, const struct p2p_source_spec *source);
/* Asks for a pause and returns at once: an event reports state PAUSED. Connections are
 * closed, the data stay. */
void p2p_download_pause(struct p2p_download *dl);
/* Ends a pause, also one that an error (a full disk) has caused. Returns at once. */
void p2p_download_resume(struct p2p_download *dl);
/* Ends the download and deletes its data. keep_data: the data stay for a later resume.
 */
void p2p_download_cancel(struct p2p_download *dl, bool keep_data);
/* Waits for the end; returns P2P_OK or the error. */
P2P_MUST_CHECK enum p2p_err p2p_download_wait(struct p2p_download *dl);
/* Cancels with keep_data if it still runs, and waits for its threads. */
void p2p_download_free(struct p2p_download *dl);

/* ---- A file while it arrives ---- */

/* Verified bytes. */
struct p2p_download_bytes {
    uint64_t size; /* of the file; 0: not known yet */
    struct p2p_digest root;
    size_t count;
};
/*
 * Reads verified bytes at `offset`, as many as there are in one chunk, at most `max`.
 * `reader` (below P2P_DOWNLOAD_READERS_MAX) stands behind them from now on: what
 * follows is downloaded before the rest of the file. BUSY: the bytes are not here yet;
 * on_readable tells. RANGE: there are none. USAGE: only a file of protocol 2 can be
 * read before it is complete.
 */
P2P_MUST_CHECK enum p2p_err p2p_download_read(struct p2p_download *dl, unsigned reader,
                                              uint64_t offset, void *out, size_t max,
                                              struct p2p_download_bytes *got);
/* The reader needs nothing any more. */
void p2p_download_stop_reading(struct p2p_download *dl, unsigned reader);

#define P2P_DOWNLOAD_CELLS_MAX   256
#define P2P_DOWNLOAD_SENDERS_MAX 64

/* Which pieces are here, and who sent them in this run: the file, cut into cells of
 * about the same size. Of very large cells, only a sample of the pieces counts. */
struct p2p_download_pieces {
    uint64_t count; /* of the file; 0: not known yet */
    uint32_t size;  /* bytes of a piece */
    unsigned cell_count;
    struct p2p_download_cell {
        uint8_t done;  /* percent of its pieces that are here */
        int8_t sender; /* of most of them, in `senders`; -1: none in this run */
    } cells[P2P_DOWNLOAD_CELLS_MAX];
    unsigned sender_count;
    struct p2p_download_sender {
        struct p2p_id id;
        uint64_t pieces;
    } senders[P2P_DOWNLOAD_SENDERS_MAX];
};
/* Copies what is known of the pieces; all zero: nothing. */
void p2p_download_pieces(struct p2p_download *dl, struct p2p_download_pieces *out);
/* The place of a device among `*count` senders, added if there is room; -1: none. */
int p2p_download_sender(struct p2p_download_sender senders[P2P_DOWNLOAD_SENDERS_MAX],
                        unsigned *count, const struct p2p_id *id);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
