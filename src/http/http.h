/*
 * The HTTP side of the two HTTP daemons: a server, its routes, a request and its
 * answer.
 *
 * Owns sockets, threads, deadlines, body caps and the form of errors; src/http is the
 * only code that knows libmicrohttpd. It knows nothing of peers, names or transfers.
 *
 * Handlers run on the server's threads, several at once, and must not block: one that
 * has to wait parks the request (wait.h), one that has a lot to say opens a stream
 * (sse.h) or hands over a file (file.h). A request belongs to the thread that runs its
 * handler.
 *
 * A handler answers exactly once with a http_reply*() or http_fail*(); one that returns
 * without an answer is a 500. Strings that accessors return are borrowed until the
 * handler returns.
 */
#ifndef P2P_HTTP_HTTP_H
#define P2P_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

#include "http/tls.h"
#include "p2p/err.h"

struct cJSON;
struct http_request;
struct http_server;

typedef void http_handler(struct http_request *req, void *app);

/* ---- routes and server ---- */

enum http_route_flags {
    HTTP_MULTIPART = 1u << 0, /* see upload.h: the handler runs before the body */
    HTTP_OPEN = 1u << 1,      /* the server's `admit` is not asked */
    /* Taken, and named in Allow, only when the path fits no other row. */
    HTTP_FALLBACK = 1u << 2,
    HTTP_PAGE = 1u << 3, /* a page: other sites may link to it (check_site) */
    HTTP_APP = 1u << 8,  /* this bit and those above belong to the program */
};

/*
 * One row of a program's const table. `pattern` is a path whose segments may be {name}
 * (one segment) or, as the last one, {name*} (the rest, slashes included). "GET" rows
 * answer HEAD as well. `max_body` 0 accepts no body. The first row that fits is taken;
 * the table ends with a row of NULLs.
 */
struct http_route {
    const char *method;
    const char *pattern;
    http_handler *handler;
    size_t max_body;
    unsigned flags;
};

/* A header every answer of the server carries; arrays end with {NULL, NULL}. */
struct http_header {
    const char *name;
    const char *value;
};

/*
 * What decides whether a stranger's page drives this server (HTTP.md, "Who may call").
 * Loopback names and the address the connection came in on are always right as Host.
 */
struct http_guard_options {
    bool check_host; /* other Hosts are 421; else any Host is taken */
    /* The same only for requests that show a browser, whose user a page may abuse. */
    bool check_browser_host;
    /* Unsafe methods from another origin are 403, and so is what a page of another site
     * loads, other than by leading the user here. */
    bool check_origin;
    /* What a page of another site asks for is 403 with any method, but for following a
     * link to a HTTP_PAGE row; and JSON has to be called JSON. */
    bool check_site;
    const char *const *allow_hosts; /* further names, see http_hosts_check();
                                       NULL-terminated or NULL */
};

struct http_options {
    const char
        *host; /* address to listen on; "0.0.0.0", "::" or "*": all, IPv4 and IPv6 */
    uint16_t port;         /* 0: any free one, see http_server_port() */
    unsigned threads;      /* 0: one per core, at least 2 */
    unsigned pool_threads; /* 0: 2; for long work (offload.h) */
    /* 0: HTTP_MAX_CONNECTIONS. An eighth, at most 128, is kept for loopback and for
     * callers marked as known; when it is full, idle strangers are closed first. */
    unsigned max_connections;
    unsigned max_connections_per_ip; /* of an IPv4 address or IPv6 /64; 0: no limit */
    size_t connection_memory;        /* 0: HTTP_CONNECTION_MEMORY; holds all headers */
    unsigned header_timeout_s;       /* 0: 10; from connect or last answer + idle */
    unsigned idle_timeout_s;         /* 0: 60; keep-alive without a request */
    unsigned body_timeout_s; /* 0: 5; a body, and a second more for each 8 KiB of it */
    size_t body_budget;      /* 0: HTTP_BODY_BUDGET; bodies in memory, all together */
    size_t answer_budget;    /* 0: HTTP_ANSWER_BUDGET; answers that wait to be sent */
    double rate;  /* requests a second per address, 128 KiB of an answer count as one
                     more; 0: no limit */
    double burst; /* 0: twice the rate */
    /* Addresses and networks, see http_proxies_check(); NULL-terminated or NULL. */
    const char *const *trusted_proxies;
    struct http_guard_options guard;
    const struct http_header *headers;
    const struct http_route *routes; /* borrowed for the server's life */
    /*
     * Asked once the route is known and before a body is read, except for HTTP_OPEN
     * rows: returns true, or answers (401, 403) and returns false. NULL: everybody may.
     */
    bool (*admit)(struct http_request *req, const struct http_route *route, void *app);
    /*
     * Called when a request is over, whether it was answered, cut off, or left by its
     * client: whatever the program keeps for `serial` can go. Once a request, on the
     * thread that ran its handler or another one of the server, and for the last time
     * within http_server_close(). May be NULL.
     */
    void (*on_end)(uint64_t serial, void *app);
    /*
     * Called when a body of HTTP_LONG_BODY or more has been freed, and what the server
     * made of it: a program may give the memory back to the system. On a thread of the
     * server, at the latest within http_server_close(). May be NULL.
     */
    void (*on_long_body_freed)(void *app);
    void *app;
    /* Instead of host and port: a socket of http_listen. Taken. */
    bool has_listener;
    int listener;
    struct http_tls_options tls; /* cert NULL: plain HTTP. One server in a program */
    bool starts_later; /* listen, but answer nothing before http_server_start() */
};

#define HTTP_MAX_CONNECTIONS   4096u
#define HTTP_LONG_BODY         ((size_t)1024 * 1024)
#define HTTP_CONNECTION_MEMORY (16u * 1024)
#define HTTP_MAX_URI           4096u
#define HTTP_MAX_HEADERS       100u
#define HTTP_MAX_PARAMS        4u
#define HTTP_MAX_QUERY         16u
/* One source (IPv4 address, IPv6 /64) holds at most what is still free of these: alone
 * a half of the bodies, a ninth of the answers. */
#define HTTP_BODY_BUDGET   ((size_t)256 * 1024 * 1024)
#define HTTP_ANSWER_BUDGET ((size_t)256 * 1024 * 1024)

/*
 * Whether a server takes these as trusted proxies: addresses or networks (CIDR), also
 * several in one text with commas between. P2P_ERR_USAGE, and `why` names the value
 * that can never match and says what is right.
 */
P2P_MUST_CHECK enum p2p_err http_proxies_check(const char *const *list, char *why,
                                               size_t size);

/* The same for names that are right as Host: a port is ignored. P2P_ERR_USAGE. */
P2P_MUST_CHECK enum p2p_err http_hosts_check(const char *const *list, char *why,
                                             size_t size);

/* Opens a listening socket alone, with the errors of http_server_open: for a parent
 * that hands it to the process that serves. */
P2P_MUST_CHECK enum p2p_err http_listen(const char *host, uint16_t port, int *fd);

/*
 * Starts listening and answering. Errors: P2P_ERR_IN_USE, P2P_ERR_USAGE (the host is
 * not an address), P2P_ERR_PERMISSION and others of the system.
 */
P2P_MUST_CHECK enum p2p_err http_server_open(const struct http_options *opt,
                                             struct http_server **result);

/* For a server that starts later: what handlers need from it exists now. */
P2P_MUST_CHECK enum p2p_err http_server_start(struct http_server *s);

/* The port that is listened on, host order. */
uint16_t http_server_port(const struct http_server *s);

/* Ends every stream and wait, lets running handlers finish, closes. Accepts NULL. */
void http_server_close(struct http_server *s);

struct http_counters {
    uint64_t connections; /* open now */
    uint64_t requests;
    uint64_t refused;     /* by guard, admit, caps */
    uint64_t limited;     /* 429 */
    uint64_t timed_out;   /* slow senders cut off */
    uint64_t given_up;    /* connections closed to make room for others */
    uint64_t turned_away; /* connections for which there was no room */
    uint64_t by_class[6]; /* answers by status / 100 */
};
void http_server_counters(struct http_server *s, struct http_counters *out);

/* ---- the request ---- */

/*
 * The request's number: never 0, never given twice by a server. What outlives a run of
 * the handler remembers this number and not the address, which the next request on
 * another connection may have.
 */
uint64_t http_serial(const struct http_request *req);

/*
 * Whose request it is, as a number of the program's choice; 0: nobody's. Lasts until
 * the request is over.
 */
void http_set_group(struct http_request *req, uint64_t group);

/*
 * Cuts off every open request of a group that may not stay: streams, answers that are
 * being sent, uploads, waits. Nothing more reaches its client. Returns how many were.
 * `may_stay` must not call back into the server. With may_stay NULL it only counts the
 * requests that have a group.
 */
size_t http_close_groups(struct http_server *s,
                         bool (*may_stay)(uint64_t group, void *arg), void *arg);

const char *http_method(const struct http_request *req);

/* The path as it was sent, still percent-encoded, without the query. */
const char *http_path(const struct http_request *req);

/* The part of the path that matched {name}: percent-decoded valid UTF-8 without NUL. */
const char *http_param(const struct http_request *req, const char *name);

/* The first query value of that name, decoded like a parameter; NULL when absent. */
const char *http_query(const struct http_request *req, const char *name);

/*
 * A query value as a decimal number in [min, max]; `fallback` when it is absent. On
 * anything else answers 400 and returns false.
 */
bool http_query_u64(struct http_request *req, const char *name, uint64_t min,
                    uint64_t max, uint64_t fallback, uint64_t *out);

/* The value of a header, any case; NULL when absent. http_cookie copies out one cookie.
 */
const char *http_header(const struct http_request *req, const char *name);
bool http_cookie(const struct http_request *req, const char *name, char *out,
                 size_t size);

/*
 * The client's address as text without a zone; IPv4 in its dotted form also on a
 * dual-stack socket. Behind a trusted proxy it is the address the proxy names (0.0.0.0
 * when what it names cannot be believed; the proxy's own when it names none).
 */
const char *http_client_ip(const struct http_request *req);

/*
 * Whether the connection comes from this machine and nothing says that somebody else
 * speaks through it: it is not a trusted proxy's, and the request shows no proxy. This
 * is about limits, and no proof of who the caller is.
 */
bool http_client_is_loopback(const struct http_request *req);

/* Whether the connection is one of a trusted proxy, with or without forwarding headers.
 */
bool http_came_by_trusted_proxy(const struct http_request *req);

/*
 * Whether the request shows any sign of a proxy, trusted or not: Forwarded,
 * X-Forwarded-*, X-Real-IP and others that name a client, Via, or HTTP/1.0 (which nginx
 * speaks to the servers behind it).
 */
bool http_shows_proxy(const struct http_request *req);

/*
 * Whether http_client_ip() is not the client's: a proxy that nobody named with
 * `trusted_proxies` is in between, or a trusted one says what cannot be believed.
 */
bool http_client_is_hidden(const struct http_request *req);

/*
 * What the client typed, as far as it is known: Host, or what a trusted proxy says in
 * X-Forwarded-Host; NULL when absent. The scheme is "http" or "https" when a trusted
 * proxy says so in X-Forwarded-Proto, else NULL.
 */
const char *http_host(const struct http_request *req);
const char *http_scheme(const struct http_request *req);

/*
 * Says that the caller has proven who it is (a cookie, a token): its connection keeps
 * one of the reserved places and is not closed to make room, until it ends. Without
 * effect behind a proxy, whose connections are everybody's. Call it where the caller is
 * checked, for each request.
 */
void http_request_mark_known(struct http_request *req);

/* Whether the client speaks TLS, to this server or to a trusted proxy before it. */
bool http_is_secure(const struct http_request *req);

/* The two ends of the connection itself, whoever speaks through it. False: unknown. */
bool http_connection_ends(const struct http_request *req, struct sockaddr_storage *ours,
                          struct sockaddr_storage *theirs);

/* A number that the program keeps with the connection; 0 at first. */
_Atomic uint64_t *http_connection_note(const struct http_request *req);

/* The address (text) of this machine that the client connected to. */
const char *http_local_ip(const struct http_request *req);

/* The length of the body the client announces; UINT64_MAX when it does not say. */
uint64_t http_content_length(const struct http_request *req);

const void *http_body(const struct http_request *req, size_t *len);

/*
 * The body as a JSON object, borrowed. Refuses what json.h refuses: answers 400 (or 415
 * when a Content-Type other than JSON is given) and returns NULL.
 */
struct cJSON *http_json(struct http_request *req);

/* ---- the answer ---- */

/* Adds a header to the coming answer; copies. CR and LF end the value. */
void http_set_header(struct http_request *req, const char *name, const char *value);

void http_reply(struct http_request *req, unsigned status, const char *type,
                const void *body, size_t len); /* copies */
void http_reply_owned(struct http_request *req, unsigned status, const char *type,
                      char *body, size_t len); /* takes a malloc'ed body */
void http_reply_empty(struct http_request *req, unsigned status);
void http_reply_json(struct http_request *req, unsigned status,
                     struct cJSON *json); /* takes */
/* {"<name>":"<value>"} */
void http_reply_message(struct http_request *req, unsigned status, const char *name,
                        const char *value);

/*
 * An answer made once and sent often without being built again. Make it after the
 * server is open, free it before the server is closed.
 */
struct http_prepared;
struct http_prepared *http_prepare(struct http_server *s, const char *type,
                                   const void *body, size_t len);
void http_prepared_free(struct http_prepared *p);
void http_reply_prepared(struct http_request *req, unsigned status,
                         const struct http_prepared *p);

/*
 * application/problem+json {"type","title","status","detail","code","error"}. `code` is
 * a short word for programs ("peer_not_found"), the detail is for people.
 */
void http_fail(struct http_request *req, unsigned status, const char *code,
               const char *detail_format, ...) __attribute__((format(printf, 4, 5)));

/* Adds a number to the members of a coming http_fail. `name` is borrowed until then. */
void http_problem_member(struct http_request *req, const char *name, uint64_t value);

/*
 * The same for an error of the core: status by p2p_err_http_status(), code its name in
 * lower case. `detail` NULL: the error's own text.
 */
void http_fail_err(struct http_request *req, enum p2p_err err, const char *detail);

/* 429 with Retry-After. */
void http_fail_busy(struct http_request *req, unsigned retry_after_s,
                    const char *detail);

/*
 * Sets ETag to `tag` (without quotes) and, when If-None-Match names it, answers 304 and
 * returns true: nothing more is to be done.
 */
bool http_not_modified(struct http_request *req, const char *tag);

/* Whether an answer has been given. */
bool http_is_answered(const struct http_request *req);

#endif
