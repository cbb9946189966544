/*
 * Declarations shared by the files of src/http: the structs behind http.h. A connection
 * contains its current request, so that an ordinary request allocates no memory.
 */
#ifndef P2P_HTTP_INTERNAL_H
#define P2P_HTTP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <microhttpd.h>

#include "http/guard.h"
#include "http/http.h"
#include "http/source/address.h"
#include "http/source/ratelimit.h"
#include "http/source/source.h"
#include "p2p/clock.h"
#include "p2p/lock.h"

#define HTTP_IP_TEXT     HTTP_ADDRESS_TEXT
#define HTTP_SMALL_TEXT  288
#define HTTP_MAX_EXTRA   8
#define HTTP_DRAIN_BYTES (16u * 1024 * 1024)
#define HTTP_NO_DEADLINE UINT64_MAX

struct http_pool;
struct http_upload;

struct http_pair {
    const char *name;
    size_t name_len;
    const char *value;
};

struct http_request {
    uint64_t serial; /* 0: no request is open */
    _Atomic uint64_t group;
    struct http_server *server;
    struct http_conn *conn;
    struct MHD_Connection *mhd;
    const char *method;
    const char *path;
    const struct http_route *route;

    char *
        text; /* decoded parameters and query; points to `small` unless they are long */
    size_t text_need, text_used;
    char small[HTTP_SMALL_TEXT];
    struct http_pair params[HTTP_MAX_PARAMS];
    struct http_pair query[HTTP_MAX_QUERY];
    unsigned n_params, n_query;
    char proxied_ip[HTTP_IP_TEXT]; /* "": the client's address is that of the connection
                                    */
    const char *forwarded_host, *forwarded_proto; /* from a trusted proxy, or NULL */
    bool is_by_proxy; /* the connection comes from a trusted proxy */
    bool shows_proxy, shows_address;

    struct http_source *source; /* the client's source: that of the connection, unless a
                                 * proxy names another one */
    uint64_t declared;          /* Content-Length; UINT64_MAX when chunked */
    _Atomic uint64_t received;
    char *body;
    size_t body_len, body_cap;
    struct cJSON *json;
    struct http_upload *upload;

    struct MHD_Response *response; /* the answer; NULL until given */
    bool is_shared;                /* the response belongs to a http_prepared */
    unsigned status;
    uint64_t answer_bytes;  /* bytes of an answer in memory */
    uint64_t charged_bytes; /* the part of them that the source is charged for */
    struct {
        char *name, *value;
    } extra[HTTP_MAX_EXTRA];
    unsigned n_extra;
    /* An answer that is sent before the whole body has arrived (early.c). */
    bool is_early;
    char *early_text;           /* its body; owned */
    uint64_t early_at;          /* bytes of the request's body that had arrived */
    const char *problem_member; /* NULL: none */
    uint64_t problem_value;

    bool is_begun;
    /* Waiting (wait.c): the links are guarded by the list's lock. */
    struct http_request *wait_prev, *wait_next;
    uint64_t wait_deadline_ms;
    bool has_waited; /* the deadline is set */
    bool has_parked; /* in this run of the handler; used by its thread only */
    bool is_offloaded;
};

enum http_phase {
    HTTP_IDLE,    /* between requests: no byte of the next one has arrived */
    HTTP_HEADERS, /* request line seen */
    HTTP_BODY,
    HTTP_UPLOAD, /* limited by progress, not by a total time */
    HTTP_LINGER, /* an early answer was sent; the rest of the body is discarded */
    HTTP_ANSWER, /* the library's own time-out applies to the reader */
};

struct http_conn {
    struct http_conn *prev, *next; /* under server->lock */
    struct http_server *server;
    struct http_source *source;
    int fd;
    _Atomic int phase;
    _Atomic uint64_t since_ms; /* in this phase */
    _Atomic bool is_sending;   /* an answer its source is charged for */
    _Atomic uint64_t deadline_ms;
    /* Bytes received when the deadline was last moved. */
    _Atomic uint64_t upload_mark;
    struct http_address address;
    bool is_loopback;
    _Atomic uint64_t note; /* see http_connection_note() */
    /* places.c, under the server's lock: */
    bool is_favored;  /* on loopback, or known: it has one of the reserved places */
    bool is_known;    /* see http_request_mark_known() */
    bool is_given_up; /* its place is free already: the library is about to close it */
    char ip[HTTP_IP_TEXT];
    char local_ip[HTTP_IP_TEXT]; /* determined at the first use */
    struct http_request req;
};

/* An object with its own deadlines: the server's clock thread calls it. */
struct http_ticker {
    uint64_t (*tick)(struct http_ticker *self, uint64_t now_ms); /* returns next wish */
    void (*stop)(
        struct http_ticker *self); /* the server is closing: release everything */
    struct http_ticker *next;
};

P2P_MUTEX_KIND(http_server_lock);
P2P_MUTEX_KIND(http_clock_lock);
struct http_server {
    struct http_options opt;
    struct MHD_Daemon *daemon;
    int listen_fd;
    uint16_t port;
    struct http_ratelimit *limiter;
    struct http_pool *pool;
    struct http_networks proxies; /* the trusted ones */
    struct http_hosts hosts;      /* names that are accepted as Host */
    _Atomic bool has_warned_of_proxy;

    struct http_sources sources;

    struct http_server_lock lock;
    struct http_conn *conns P2P_GUARDED_BY(http_server_lock);
    /* Open connections, without those that are about to be closed, */
    unsigned n_placed P2P_GUARDED_BY(http_server_lock);
    /* And how many of them have no reserved place. */
    unsigned n_others P2P_GUARDED_BY(http_server_lock);
    struct http_ticker *tickers P2P_GUARDED_BY(http_server_lock);

    pthread_t clock;
    bool has_clock, has_tls;
    struct http_clock_lock clock_lock;
    pthread_cond_t clock_wake;
    _Atomic uint64_t wake_at_ms;
    _Atomic bool is_stopping;

    _Atomic uint64_t last_serial;
    _Atomic uint64_t n_connections, n_requests, n_refused, n_limited, n_timed_out;
    _Atomic uint64_t n_given_up, n_turned_away;
    _Atomic uint64_t n_by_class[6];
    _Atomic bool looks_for_closed; /* waits check at once which clients have gone */
};

/* clock.c: one thread per server that sleeps until the nearest deadline. */
enum p2p_err http_clock_start(struct http_server *s);
void http_clock_stop(struct http_server *s);
void http_clock_at(struct http_server *s,
                   uint64_t when_ms); /* wake up no later than this */
void http_clock_add(struct http_server *s, struct http_ticker *t);
void http_clock_remove(struct http_server *s, struct http_ticker *t);

/* conn.c */
void http_conn_notify(void *server, struct MHD_Connection *mhd, void **context,
                      enum MHD_ConnectionNotificationCode code);

/* phase.c: what a connection is doing, and its deadline. */
void http_conn_set_phase(struct http_conn *c, enum http_phase phase);
/* Closes those whose time is over; returns the next deadline. */
uint64_t http_conn_reap(struct http_server *s, uint64_t now_ms)
    P2P_REQUIRES(http_server_lock);

/* places.c: the library asks before it accepts a connection; take and leave need the
 * server's lock. */
enum MHD_Result http_place_asked(void *server, const struct sockaddr *sa,
                                 socklen_t len);
void http_place_take(struct http_conn *c) P2P_REQUIRES(http_server_lock);
void http_place_leave(struct http_conn *c) P2P_REQUIRES(http_server_lock);
void http_place_give_up(struct http_conn *c) P2P_REQUIRES(http_server_lock);
/* Needs no lock: closes the connection whose client has not read for longest. */
void http_place_end_reader(struct http_server *s);
/* The caller has proven its identity, or no longer does. */
void http_place_set_known(struct http_conn *c, bool is_known);
/* This connection carries other clients, so it is not favored for being on loopback. */
void http_place_is_proxys(struct http_conn *c);

/* dispatch.c: the library's callbacks for one request. */
void *http_on_uri(void *server, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result http_on_request(void *server, struct MHD_Connection *mhd,
                                const char *url, const char *method,
                                const char *version, const char *data, size_t *size,
                                void **context);
void http_on_completed(void *server, struct MHD_Connection *mhd, void **context,
                       enum MHD_RequestTerminationCode why);
/* Tells the program that the request is over, and frees what it held. May be called
 * more than once. */
void http_request_end(struct http_request *req);

/* route.c: sets req->route and params, or answers 404, 405, 400. */
bool http_route_find(struct http_request *req);
bool http_route_table_is_valid(const struct http_route *routes);

/* request.c */
bool http_request_decode_query(struct http_request *req); /* or answers 400 */
void http_request_clear(struct http_request *req);
void http_request_run(struct http_request *req); /* the handler of its route */
char *http_request_text(struct http_request *req, size_t size); /* room in req->text */

/* guard.c: answers 421 or 403 and returns false. */
bool http_guard_passes(struct http_request *req);
bool http_guard_allows_site(struct http_request *req); /* once the route is known */

/* proxy.c: detects proxies in the request, and the client behind them. */
void http_proxy_resolve(struct http_request *req, const char *version);

/* response.c */
void http_answer(struct http_request *req, unsigned status, struct MHD_Response *r);
void http_add_server_headers(const struct http_server *s, struct MHD_Response *r);
enum MHD_Result http_answer_queue(struct http_request *req);

/* offload.c; `run` answers a request on one of the threads. */
enum p2p_err http_pool_start(unsigned threads, void (*run)(struct http_request *req),
                             struct http_pool **result);
void http_pool_stop(struct http_pool *p);
void http_pool_free(struct http_pool *p);
/* A source has read an answer, so its next one may be made. */
void http_pool_poke(struct http_pool *p);

/* ---- early.c ---- */

/* Sends the answer that was given now, although the body has not arrived: the library
 * can do that only before the body or after it. The connection is closed then. */
void http_early_send(struct http_request *req);
/* True if so much arrived after the answer that the client does not read it: the
 * connection is closed. */
bool http_early_is_over(const struct http_request *req);

/* upload.c */
bool http_upload_feed(struct http_request *req, const char *data, size_t n);
void http_upload_finish(struct http_request *req);
void http_upload_free(struct http_request *req);

#endif
