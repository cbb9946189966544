/* Declarations shared by the files of the registry client. */
#ifndef P2P_DISCOVERY_INTERNAL_H
#define P2P_DISCOVERY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/registry/json.h"
#include "p2p/box.h"
#include "p2p/discovery.h"
#include "p2p/lock.h"
#include "p2p/stop.h"

struct cJSON;

/* ---- discovery_http.c: calls to several registries at once ---- */

/* The required form of a registry's answer, if its status is 2xx. */
enum p2p_answer {
    P2P_ANSWER_ANY,
    P2P_ANSWER_MESSAGE, /* a JSON object with a text `message` */
    P2P_ANSWER_LIST,    /* a JSON object; other functions check its content */
};

struct p2p_http_call {
    const char *method; /* "GET", "POST", "DELETE" */
    char *url;          /* owned */
    char *body;         /* JSON or NULL; owned */
    char *header;       /* one more header line, or NULL; owned */
    size_t answer_max;  /* 0: P2P_HTTP_ANSWER_MAX */
    enum p2p_answer expected;
    /* The answer. err is about the connection only: it is P2P_OK for every status that
     * arrived. */
    enum p2p_err err;
    long status;
    char *answer; /* NUL-terminated, `len` bytes; owned; NULL when empty */
    size_t len;
    uint64_t
        retry_after_ms; /* as its Retry-After says, within limits; 0: no such header */
    int64_t date_s; /* the registry's clock from its Date header; 0 if there was none */
    char type[64];  /* Content-Type without parameters, escaped; may be empty */
    char where[160]; /* Location of a 3xx, or why TLS failed; escaped */
};
/* Initializes libcurl, once per process. From any thread. */
void p2p_http_global_init(void);
/*
 * Makes all calls at once. Returns when each has its answer or `timeout_ms` is over.
 * When one registry has answered, the others have only `patience_ms` more, so that a
 * registry that hangs does not delay callers who need one answer. Calls whose url is
 * NULL are left out (err NOMEM). `stop` (may be NULL): the function returns when
 * another thread sets it.
 */
void p2p_http_run(struct p2p_http_call *calls, size_t count, uint64_t timeout_ms,
                  uint64_t patience_ms, const struct p2p_stop *stop);
void p2p_http_call_clear(struct p2p_http_call *call);
/* The error for an HTTP status: 2xx P2P_OK, 404 NOT_FOUND, 409 EXISTS, 429
 * RATE_LIMITED, ... */
enum p2p_err p2p_http_status_err(long status);
/* ---- discovery_answer.c: is this a registry? ---- */

/* The error for a finished call. `detail` is what a person needs to know in addition to
 * the error's text: the registry's own words, the status, the new URL. It is escaped
 * and may be empty. */
enum p2p_err p2p_answer_judge(const struct p2p_http_call *call, char *detail,
                              size_t cap);
/* base + path, with each %s of `path` replaced by a percent-encoded argument; owned,
 * NULL when out of memory. */
char *p2p_http_url(const char *base, const char *path, const char *const *arguments,
                   size_t count);

/* ---- discovery_state.c: what a registry has been told ---- */

struct p2p_reg_have {
    char *name;               /* owned */
    struct p2p_reg_file file; /* its name is the one above */
};
struct p2p_reg_state {
    struct p2p_reg_have *at; /* sorted by name */
    size_t count;
};
/* The difference between a registry's state and a list of files, as far as one request
 * can carry it. */
struct p2p_reg_diff {
    const char **removed; /* borrowed from the state */
    size_t removed_count;
    const struct p2p_reg_file **added; /* borrowed from the list */
    size_t added_count;
    bool complete; /* nothing remains after this request */
};
/* What has changed from `state` to `files`, at most `budget_bytes` of JSON; the rest
 * follows in the next one. Borrows from both until cleared. */
P2P_MUST_CHECK enum p2p_err p2p_reg_diff_make(const struct p2p_reg_state *state,
                                              const struct p2p_reg_file *files,
                                              size_t count, size_t budget_bytes,
                                              struct p2p_reg_diff *out);
/* Makes `state` what the registry has after it accepted the diff. NOMEM leaves it
 * unchanged. */
P2P_MUST_CHECK enum p2p_err p2p_reg_state_apply(struct p2p_reg_state *state,
                                                const struct p2p_reg_diff *diff);
/* Frees the lists; the files are borrowed. */
void p2p_reg_diff_clear(struct p2p_reg_diff *diff);
/* Forgets everything; the state may be used again. */
void p2p_reg_state_clear(struct p2p_reg_state *state);

/* ---- discovery_body.c: what is sent ---- */

/* Each makes the JSON of one request; *body is *returned owned*. A signed registration
 * of all files. */
P2P_MUST_CHECK enum p2p_err p2p_reg_body_whole(const struct p2p_reg *reg,
                                               const struct p2p_reg_diff *diff,
                                               uint64_t seq, uint64_t expires_at_s,
                                               char **body);
/* A signed one of what has changed since `base`. */
P2P_MUST_CHECK enum p2p_err p2p_reg_body_delta(const struct p2p_reg *reg,
                                               const struct p2p_reg_diff *diff,
                                               uint64_t seq, uint64_t base,
                                               char **body);
/* One without a signature, for registries that know no other. */
P2P_MUST_CHECK enum p2p_err p2p_reg_body_unsigned(const struct p2p_reg *reg,
                                                  const struct p2p_reg_diff *diff,
                                                  char **body);
/* The end of a registration. */
P2P_MUST_CHECK enum p2p_err p2p_reg_body_leave(const struct p2p_rsa *key, uint64_t seq,
                                               char **body);

/* ---- discovery.c: the handle ---- */

P2P_MUTEX_KIND(p2p_discovery_lock);
P2P_MUTEX_KIND(p2p_discovery_reg_lock);
struct p2p_registry {
    char url[256]; /* no slash at its end */
    bool reachable P2P_GUARDED_BY(p2p_discovery_lock);
    bool registered P2P_GUARDED_BY(p2p_discovery_lock);
    bool is_signed P2P_GUARDED_BY(p2p_discovery_lock);
    /* It accepted a signed record, and has not said since then that it has none. Unlike
     * `registered`, this stays true while the record is being replaced. */
    bool has_record P2P_GUARDED_BY(p2p_discovery_lock);
    enum p2p_err last_error P2P_GUARDED_BY(p2p_discovery_lock);
    char detail[160] P2P_GUARDED_BY(p2p_discovery_lock);
    /* Where the registry saw the last registration come from; "": it did not say. */
    char seen_ip[64] P2P_GUARDED_BY(p2p_discovery_lock);
    /* What it offers to peers that look for a path, until that is too old. */
    struct p2p_reach_offer offer P2P_GUARDED_BY(p2p_discovery_lock);
    uint64_t offer_until_ms P2P_GUARDED_BY(p2p_discovery_lock);
    /* The registry's clock from its Date header (0 if none), and our monotonic time
     * when it arrived. From both follows the registry's time now, even if our time of
     * day changes. */
    int64_t date_s P2P_GUARDED_BY(p2p_discovery_lock);
    uint64_t date_at_ms P2P_GUARDED_BY(p2p_discovery_lock);
    /* A registry that did not answer in time is not asked again (by p2p_discovery_ask)
     * before this time, as long as there are others. */
    uint64_t rests_until_ms P2P_GUARDED_BY(p2p_discovery_lock);
    uint64_t rest_ms P2P_GUARDED_BY(p2p_discovery_lock);
    /* The last registration failed, so the registry does not have everything. The next
     * try is due at this time. */
    bool is_behind P2P_GUARDED_BY(p2p_discovery_lock);
    uint64_t retry_at_ms P2P_GUARDED_BY(p2p_discovery_lock);
    uint64_t retry_pause_ms P2P_GUARDED_BY(p2p_discovery_lock);
    /* The registry has asked for no registration before this time (Retry-After). */
    uint64_t held_until_ms P2P_GUARDED_BY(p2p_discovery_lock);
    /* How many bytes of entries one request may carry; reduced after a 413. And the
     * largest body that was accepted since then; 0 if none was refused. */
    size_t budget_bytes P2P_GUARDED_BY(p2p_discovery_reg_lock);
    size_t body_limit_bytes P2P_GUARDED_BY(p2p_discovery_lock);
    /* Monotonic time of the next full registration: half of the signature's validity.
     * For an unsigned record: the next time to try a signed one. */
    uint64_t renew_at_ms P2P_GUARDED_BY(p2p_discovery_lock);
    /* The last seq of ours that it accepted since the start; 0: none. */
    uint64_t told_seq P2P_GUARDED_BY(p2p_discovery_lock);
    /* What the registry holds about us; guarded by d->reg_lock. */
    struct p2p_reg_state state P2P_GUARDED_BY(p2p_discovery_reg_lock);
    /* The seq of the record that the registry has, as far as we know. */
    uint64_t seq P2P_GUARDED_BY(p2p_discovery_reg_lock);
    char ip[64] P2P_GUARDED_BY(p2p_discovery_reg_lock);
    uint16_t port P2P_GUARDED_BY(p2p_discovery_reg_lock);
};

struct p2p_discovery {
    struct p2p_discovery_lock
        lock; /* the value of registries before any registration */
    /* One registration at a time; taken before `lock`. */
    struct p2p_discovery_reg_lock reg_lock;
    /* Threads that end boxes now, and the news that one of them has ended. */
    unsigned drops P2P_GUARDED_BY(p2p_discovery_lock);
    pthread_cond_t dropped;
    uint64_t timeout_ms;
    size_t page_max; /* bytes of one page; tests make it smaller */
    struct p2p_stop *stop;
    uint64_t last_seq P2P_GUARDED_BY(p2p_discovery_reg_lock);
    /* The number in the file beside the key. */
    uint64_t stored_seq P2P_GUARDED_BY(p2p_discovery_reg_lock);
    struct p2p_identity *seq_identity P2P_GUARDED_BY(p2p_discovery_reg_lock);
    size_t count;
    struct p2p_registry at[];
};

/* ---- box.c ---- */

/* Waits for the threads of p2p_box_drop_soon. */
void p2p_box_settle(struct p2p_discovery *d);

/* ---- discovery_peers.c: lists of peers ---- */

struct p2p_peers {
    struct p2p_peer_list list;
    size_t cap;
    /* Tells which names to keep; the others are only counted. */
    const char *only;  /* NULL: any */
    size_t names_max;  /* of each peer */
    size_t bytes_left; /* of all */
    size_t count_max;  /* of the list, altogether; 0: no limit */
};
/* Adds the valid peers of a JSON array from that registry; only NOMEM is an error. */
P2P_MUST_CHECK enum p2p_err p2p_peers_take(const struct cJSON *array, size_t registry,
                                           struct p2p_peers *out);
/* Merges the entries of peers that several registries know. The best record is kept; of
 * two equal ones, the one with more names. */
void p2p_peers_merge(struct p2p_peer_list *list);
/* Orders the peers: the first of each registry, then the second of each, and so on;
 * `count` registries. The peers of one registry come in random order (rank.h). NOMEM:
 * the order stays unchanged. */
P2P_MUST_CHECK enum p2p_err p2p_peers_take_turns(struct p2p_peer_list *list,
                                                 size_t count);
/* Lists peers with names, for registries that cannot search. The number of names is
 * limited. */
P2P_MUST_CHECK enum p2p_err p2p_discovery_peers_with_names(struct p2p_discovery *d,
                                                           struct p2p_peer_list *out);
bool p2p_peer_has(const struct p2p_peer_info *peer, const char *name);

/* ---- discovery_find.c: asking all registries, page by page ---- */

typedef enum p2p_err p2p_page_visit(void *arg, size_t registry,
                                    const struct cJSON *json);
/*
 * Reads at most `pages` pages of every registry. P2P_OK if one answered; otherwise the
 * error of one of them, preferably not NOT_FOUND (an unknown path). `path` has a query
 * and a %s for the argument (NULL: no argument).
 */
P2P_MUST_CHECK enum p2p_err p2p_discovery_ask(struct p2p_discovery *d, const char *path,
                                              const char *argument, size_t pages,
                                              p2p_page_visit *visit, void *arg);

/* The registry's time of day in ms; our own if that is unknown. The second one takes
 * the lock. */
uint64_t p2p_registry_now_ms(const struct p2p_registry *r)
    P2P_REQUIRES(p2p_discovery_lock);
uint64_t p2p_registry_time_ms(struct p2p_discovery *d, const struct p2p_registry *r);
/* Stores the result of a call to registry i and returns its error. Also decides whether
 * the registry is left out for a while, and for how long. */
enum p2p_err p2p_registry_note(struct p2p_discovery *d, size_t i,
                               const struct p2p_http_call *call);

/* Marks the registry's answer as invalid: it was not a list, so the other results of
 * this call do not count. */
void p2p_registry_note_malformed(struct p2p_discovery *d, size_t i,
                                 const struct p2p_http_call *call);

#endif
