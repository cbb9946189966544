/* What the files of the discovery module share. */
#ifndef P2P_DISCOVERY_INTERNAL_H
#define P2P_DISCOVERY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "p2p/discovery.h"
#include "p2p/lock.h"

struct cJSON;

/* ---- discovery_http.c: calls to several registries at once ---- */

/* What an answer of a registry has to look like; 2xx only. */
enum p2p_answer {
    P2P_ANSWER_ANY,
    P2P_ANSWER_MESSAGE, /* a JSON object with a text `message` */
    P2P_ANSWER_LIST,    /* a JSON object; what is in it is looked at elsewhere */
};

struct p2p_http_call {
    const char *method; /* "GET", "POST", "DELETE" */
    char *url;          /* owned */
    char *body;         /* JSON or NULL; owned */
    enum p2p_answer expected;
    /* The answer. err is about the connection: any status that arrived is P2P_OK. */
    enum p2p_err err;
    long status;
    char *answer; /* NUL-terminated, `len` bytes; owned; NULL when empty */
    size_t len;
    int64_t date_s;  /* the registry's clock by its Date header; 0: not said */
    char type[64];   /* of the answer, without parameters, escaped; may be empty */
    char where[160]; /* Location of a 3xx, or why TLS failed; escaped */
};
void p2p_http_global_init(void);
/*
 * All at once; returns when each has its answer or `timeout_ms` is over. When one has
 * been answered, the others have `patience_ms` more: a registry that hangs must not
 * keep those waiting who need only one. Calls whose url is NULL are left out (err
 * NOMEM). `stop` (may be NULL): it returns soon after another thread has set it.
 */
void p2p_http_run(struct p2p_http_call *calls, size_t count, uint64_t timeout_ms,
                  uint64_t patience_ms, const _Atomic bool *stop);
void p2p_http_call_clear(struct p2p_http_call *call);
/* What a status means: 2xx P2P_OK, 404 NOT_FOUND, 409 EXISTS, 429 RATE_LIMITED, ... */
enum p2p_err p2p_http_status_err(long status);
/* ---- discovery_answer.c: is this a registry? ---- */

/* What the call means. `detail`: what a person has to know beside the error's text:
 * the registry's own words, the status, the new URL; escaped, may be empty. */
enum p2p_err p2p_answer_judge(const struct p2p_http_call *call, char *detail,
                              size_t cap);
/* base + path with each %s of `path` percent-encoded; owned, NULL when out of memory.
 */
char *p2p_http_url(const char *base, const char *path, const char *const *arguments,
                   size_t count);

/* ---- discovery_json.c: answers, not trusted ---- */

/* NULL when it is no JSON, nested too deep, or of too many values; cJSON_Delete. */
struct cJSON *p2p_json_parse(const char *text, size_t len);
const char *p2p_json_text(const struct cJSON *object, const char *name); /* or NULL */
bool p2p_json_u64(const struct cJSON *object, const char *name, uint64_t max,
                  uint64_t *out);
bool p2p_json_bool(const struct cJSON *object, const char *name); /* absent: false */
/* 64 hex digits of that name; false and zeroes otherwise. */
bool p2p_json_digest(const struct cJSON *object, const char *name,
                     uint8_t out[P2P_DIGEST_LEN]);
/* A problem's sentence, escaped; empty when there is none. */
void p2p_json_detail(const char *text, size_t len, char *out, size_t cap);

/* ---- discovery_state.c: what a registry has been told ---- */

struct p2p_reg_have {
    char *name;               /* owned */
    struct p2p_reg_file file; /* its name is the one above */
};
struct p2p_reg_state {
    struct p2p_reg_have *at; /* sorted by name */
    size_t count;
};
/* From a state towards a list of files: what one request can carry. */
struct p2p_reg_diff {
    const char **removed; /* borrowed from the state */
    size_t removed_count;
    const struct p2p_reg_file **added; /* borrowed from the list */
    size_t added_count;
    bool complete; /* nothing is left after this one */
};
P2P_MUST_CHECK enum p2p_err p2p_reg_diff_make(const struct p2p_reg_state *state,
                                              const struct p2p_reg_file *files,
                                              size_t count, size_t budget_bytes,
                                              struct p2p_reg_diff *out);
P2P_MUST_CHECK enum p2p_err p2p_reg_state_apply(struct p2p_reg_state *state,
                                                const struct p2p_reg_diff *diff);
void p2p_reg_diff_clear(struct p2p_reg_diff *diff);
void p2p_reg_state_clear(struct p2p_reg_state *state);

/* ---- discovery_body.c: what is sent ---- */

P2P_MUST_CHECK enum p2p_err p2p_reg_body_whole(const struct p2p_reg *reg,
                                               const struct p2p_reg_diff *diff,
                                               uint64_t seq, uint64_t expires_at_s,
                                               char **body);
P2P_MUST_CHECK enum p2p_err p2p_reg_body_delta(const struct p2p_reg *reg,
                                               const struct p2p_reg_diff *diff,
                                               uint64_t seq, uint64_t base,
                                               char **body);
P2P_MUST_CHECK enum p2p_err p2p_reg_body_unsigned(const struct p2p_reg *reg,
                                                  const struct p2p_reg_diff *diff,
                                                  char **body);
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
    enum p2p_err last_error P2P_GUARDED_BY(p2p_discovery_lock);
    char detail[160] P2P_GUARDED_BY(p2p_discovery_lock);
    /* Its Date header, 0 when it gave none, and when (monotonic) it came: whatever
     * this clock does, the registry's goes on from there. */
    int64_t date_s P2P_GUARDED_BY(p2p_discovery_lock);
    uint64_t date_at_ms P2P_GUARDED_BY(p2p_discovery_lock);
    /* One that did not answer in time is not asked (by p2p_discovery_ask) until then,
     * as long as there are others. */
    uint64_t rests_until_ms P2P_GUARDED_BY(p2p_discovery_lock);
    uint64_t rest_ms P2P_GUARDED_BY(p2p_discovery_lock);
    /* It has not been told all: the last try failed. The next one is due then. */
    bool is_behind P2P_GUARDED_BY(p2p_discovery_lock);
    uint64_t retry_at_ms P2P_GUARDED_BY(p2p_discovery_lock);
    uint64_t retry_pause_ms P2P_GUARDED_BY(p2p_discovery_lock);
    /* What one request may carry, as a diff counts: less after a 413. And the largest
     * body that came through since; 0: none was refused. */
    size_t budget_bytes P2P_GUARDED_BY(p2p_discovery_reg_lock);
    size_t body_limit_bytes P2P_GUARDED_BY(p2p_discovery_lock);
    /* Monotonic: half the time its signature holds. Of an unsigned record: when it is
     * asked again whether it takes a signed one. */
    uint64_t renew_at_ms P2P_GUARDED_BY(p2p_discovery_lock);
    /* What it holds about us; under d->reg_lock. */
    struct p2p_reg_state state P2P_GUARDED_BY(p2p_discovery_reg_lock);
    /* Of the record it has, as far as we know. */
    uint64_t seq P2P_GUARDED_BY(p2p_discovery_reg_lock);
    char ip[64] P2P_GUARDED_BY(p2p_discovery_reg_lock);
    uint16_t port P2P_GUARDED_BY(p2p_discovery_reg_lock);
};

struct p2p_discovery {
    struct p2p_discovery_lock lock; /* what registries say before `state` */
    /* One registration at a time; taken before `lock`. */
    struct p2p_discovery_reg_lock reg_lock;
    uint64_t timeout_ms;
    _Atomic bool is_stopping;
    uint64_t last_seq P2P_GUARDED_BY(p2p_discovery_reg_lock);
    /* What the file beside the key says. */
    uint64_t stored_seq P2P_GUARDED_BY(p2p_discovery_reg_lock);
    struct p2p_identity *seq_keeper P2P_GUARDED_BY(p2p_discovery_reg_lock);
    size_t count;
    struct p2p_registry at[];
};

/* ---- discovery_peers.c: lists of peers ---- */

struct p2p_peers {
    struct p2p_peer_list list;
    size_t cap;
    /* Which names are kept; the others are only counted. */
    const char *only;  /* NULL: any */
    size_t names_max;  /* of each peer */
    size_t bytes_left; /* of all */
};
/* Adds the usable ones of a JSON array of that registry; only NOMEM is an error. */
P2P_MUST_CHECK enum p2p_err p2p_peers_take(const struct cJSON *array, size_t registry,
                                           struct p2p_peers *out);
/* Several registries may know one peer: the best record stays, of equal ones the
 * longer. */
void p2p_peers_merge(struct p2p_peer_list *list);
/* The first of each registry, then the second of each, ...; `count` registries. Of one
 * registry they come in an order of chance (rank.h). NOMEM: the order stays. */
P2P_MUST_CHECK enum p2p_err p2p_peers_take_turns(struct p2p_peer_list *list,
                                                 size_t count);
void p2p_peer_clear(struct p2p_peer_info *peer);
/* With as many names as a search through them may cost, for registries that cannot
 * search. */
P2P_MUST_CHECK enum p2p_err p2p_discovery_peers_with_names(struct p2p_discovery *d,
                                                           struct p2p_peer_list *out);
bool p2p_peer_has(const struct p2p_peer_info *peer, const char *name);

/* ---- discovery_find.c: asking all registries, page by page ---- */

typedef enum p2p_err p2p_page_visit(void *arg, size_t registry,
                                    const struct cJSON *json);
/*
 * Visits at most `pages` pages of every registry. P2P_OK when one answered; else the
 * reason of one, NOT_FOUND (it does not know this path) before others. `path` has a
 * query and a %s for the argument (NULL: none).
 */
P2P_MUST_CHECK enum p2p_err p2p_discovery_ask(struct p2p_discovery *d, const char *path,
                                              const char *argument, size_t pages,
                                              p2p_page_visit *visit, void *arg);

/* Notes how a call to registry i ended, and returns what it means: also whether it
 * rests now, and for how long. */
/* The registry's time of day in ms; while that is not known, ours. */
uint64_t p2p_registry_time_ms(struct p2p_discovery *d, const struct p2p_registry *r);
enum p2p_err p2p_registry_note(struct p2p_discovery *d, size_t i,
                               const struct p2p_http_call *call);

/* It was JSON, or not even that, but no list: what this call told is no registry's. */
void p2p_registry_note_malformed(struct p2p_discovery *d, size_t i,
                                 const struct p2p_http_call *call);

#endif
