/*
 * The HTTP server of the two HTTP daemons: a server, its routes, a request and its
 * answer. It owns sockets, threads, deadlines, limits of bodies, and the form of
 * errors. src/http is the only code that knows libmicrohttpd. It knows nothing of
 * peers, names or transfers.
 *
 * Handlers run on the server's threads, several at once, and must not block. A handler
 * that has to wait parks the request (wait.h); one with a long answer opens a stream
 * (sse.h) or hands over a file (file.h). A request belongs to the thread that runs its
 * handler. A handler answers exactly once with a http_reply*() or http_fail*(); one
 * that returns without an answer causes a 500. Strings that accessors return are
 * borrowed until the handler returns.
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
    HTTP_MULTIPART = 1u << 0, /* the handler runs before the body: see upload.h */
    HTTP_OPEN = 1u << 1,      /* the server does not call `admit` */
    /* Used, and listed in Allow, only if no other row matches the path. */
    HTTP_FALLBACK = 1u << 2,
    HTTP_PAGE = 1u << 3, /* a page: other sites may link to it (check_site) */
    HTTP_APP = 1u << 8,  /* the program may use this bit and higher ones */
};

/*
 * One row of a program's const table. `pattern` is a path; its segments may be {name}
 * (one segment) or, in the last place, {name*} (the rest with its slashes). "GET" rows
 * also answer HEAD. `max_body` 0: no body is allowed. The first matching row is used;
 * the table ends with a row of NULLs.
 */
struct http_route {
    const char *method;
    const char *pattern;
    http_handler *handler;
    size_t max_body;
    unsigned flags;
    size_t part; /* offset in `app` of what the handler gets */
};

/* A header of every answer; arrays end with {NULL, NULL}. */
struct http_header {
    const char *name;
    const char *value;
};

/*
 * Settings that keep pages of other sites from using this server (HTTP.md, "Who may
 * call"). Loopback names and the address of the connection are always accepted as Host.
 */
struct http_guard_options {
    bool check_host; /* other Hosts get 421; if false, every Host is accepted */
    /* The same, but only for requests of browsers, whose user another page could abuse.
     */
    bool check_browser_host;
    /* Unsafe methods from another origin get 403, and so do requests of other sites'
     * pages, unless the user follows a link. */
    bool check_origin;
    /* Requests of other sites' pages get 403 with every method, unless the user follows
     * a link to a HTTP_PAGE row; and JSON must have the content type of JSON. */
    bool check_site;
    const char *const *allow_hosts; /* additional names, see http_hosts_check();
                                     * NULL-terminated or NULL */
};

struct http_options {
    const char
        *host; /* address to listen on; "0.0.0.0", "::" or "*": all, IPv4 and IPv6 */
    uint16_t port;         /* 0: any free port, see http_server_port() */
    unsigned threads;      /* 0: one per core, at least 2 */
    unsigned pool_threads; /* threads for long work (offload.h); 0: two threads */
    /* 0: HTTP_MAX_CONNECTIONS. An eighth, at most 128, is reserved for loopback and for
     * callers marked as known. When it is full, idle unknown connections are closed
     * first. */
    unsigned max_connections;
    unsigned max_connections_per_ip; /* of an IPv4 address or IPv6 /64; 0: no limit */
    size_t connection_memory;   /* 0: HTTP_CONNECTION_MEMORY; must hold all headers */
    unsigned header_timeout_ms; /* 0: 10,000; for the headers, from the connect
                                 * or the end of idle */
    unsigned idle_timeout_ms;   /* 0: 60,000; of keep-alive without a request */
    unsigned body_timeout_ms;   /* 0: 5,000; for a body, and 1,000 more for each 8 KiB
                                 * of it */
    unsigned answer_timeout_ms; /* 0: 30,000; for a client to read an answer */
    unsigned answer_min_rate;   /* 0: 16 KiB; one more second for each so many bytes */
    size_t body_budget;         /* 0: HTTP_BODY_BUDGET; bytes of all bodies in memory */
    size_t answer_budget; /* 0: HTTP_ANSWER_BUDGET; bytes of all answers that wait to
                           * be sent */
    double rate;  /* requests per second and address; each 128 KiB of an answer count as
                   * one more; 0: no limit */
    double burst; /* 0: twice the rate */
    /* Addresses and networks, see http_proxies_check(); NULL-terminated or NULL. */
    const char *const *trusted_proxies;
    struct http_guard_options guard;
    const struct http_header *headers;
    const struct http_route *routes; /* borrowed for the server's life */
    /* Called when the route is known and before a body is read, except for HTTP_OPEN
     * rows: returns true, or answers (401, 403) and returns false. NULL: every caller
     * may. */
    bool (*admit)(struct http_request *req, const struct http_route *route, void *app);
    /* Called when a request is over, whether it was answered, closed, or abandoned by
     * its client: the program can free everything that it keeps for `serial`. Called
     * once per request, on the thread that ran its handler or another one of the
     * server, and never after http_server_close(). May be NULL. */
    void (*on_end)(uint64_t serial, void *app);
    /* Called when a body of HTTP_LONG_BODY or more was freed, together with the parsed
     * data: a program may return the memory to the system. On a thread of the server,
     * never after http_server_close(). May be NULL. */
    void (*on_long_body_freed)(void *app);
    void *app;
    /* Instead of host and port: a socket of http_listen. Takes it. */
    bool has_listener;
    int listener;
    struct http_tls_options tls; /* cert NULL: plain HTTP. Only one server of a program
                                  * may use TLS */
    bool starts_later; /* listens, but answers nothing before http_server_start() */
};

#define HTTP_MAX_CONNECTIONS   4096u
#define HTTP_LONG_BODY         ((size_t)1024 * 1024)
#define HTTP_CONNECTION_MEMORY (16u * 1024)
#define HTTP_MAX_URI           4096u
#define HTTP_MAX_HEADERS       100u
#define HTTP_MAX_PARAMS        4u
#define HTTP_MAX_QUERY         32u
/* One source (IPv4 address, IPv6 /64) may use at most the part of these limits that is
 * still free: alone, half of the bodies and a ninth of the answers. */
#define HTTP_BODY_BUDGET   ((size_t)256 * 1024 * 1024)
#define HTTP_ANSWER_BUDGET ((size_t)256 * 1024 * 1024)

/*
 * Checks values for trusted proxies: addresses or networks (CIDR); one text may contain
 * several, separated by commas. P2P_ERR_USAGE if a value can never match; `why` names
 * it and tells what is valid.
 */
P2P_MUST_CHECK enum p2p_err http_proxies_check(const char *const *list, char *why,
                                               size_t size);

/* The same for names that are accepted as Host; ports are ignored. P2P_ERR_USAGE. */
P2P_MUST_CHECK enum p2p_err http_hosts_check(const char *const *list, char *why,
                                             size_t size);

/* Opens only a listening socket, with the errors of http_server_open. For a parent
 * process that passes it to the serving process. */
P2P_MUST_CHECK enum p2p_err http_listen(const char *host, uint16_t port, int *fd);

/*
 * Starts to listen and to answer. Errors: P2P_ERR_IN_USE, P2P_ERR_USAGE (the host is
 * not an address), P2P_ERR_PERMISSION and other system errors.
 */
P2P_MUST_CHECK enum p2p_err http_server_open(const struct http_options *opt,
                                             struct http_server **result);

/* For a server that starts later: call it when everything that handlers need exists. */
P2P_MUST_CHECK enum p2p_err http_server_start(struct http_server *s);

/* The port on which the server listens, in host order. */
uint16_t http_server_port(const struct http_server *s);

/* Ends all streams and waits, lets running handlers finish, and closes. Accepts
 * NULL. */
void http_server_close(struct http_server *s);

struct http_counters {
    uint64_t connections; /* open now */
    uint64_t requests;
    uint64_t refused;     /* by guard, admit, caps */
    uint64_t limited;     /* 429 */
    uint64_t timed_out;   /* slow senders cut off */
    uint64_t given_up;    /* connections closed to make room for others */
    uint64_t turned_away; /* connections refused because there was no room */
    uint64_t by_class[6]; /* answers by status / 100 */
};
/* From any thread. */
void http_server_counters(struct http_server *s, struct http_counters *out);

/* ---- the request ---- */

/*
 * The request's number: never 0, and never used twice by a server. Code that outlives a
 * handler must remember this number and not the request's address, which a later
 * request may have.
 */
uint64_t http_serial(const struct http_request *req);

/*
 * The group of the request, a number that the program chooses; 0: none. Lasts until the
 * request is over.
 */
void http_set_group(struct http_request *req, uint64_t group);

/*
 * Closes all open requests of groups that may not stay: streams, answers that are being
 * sent, uploads, waits. Their clients get nothing more. Returns their number.
 * `may_stay` must not call back into the server. With may_stay NULL, it only counts the
 * requests that have a group.
 */
size_t http_close_groups(struct http_server *s,
                         bool (*may_stay)(uint64_t group, void *arg), void *arg);

/* "GET", "POST" and so on; "HEAD" stays "HEAD". */
const char *http_method(const struct http_request *req);

/* The path as it was sent: percent-encoded, without the query. */
const char *http_path(const struct http_request *req);

/* The part of the path that matched {name}: percent-decoded valid UTF-8 without NUL. */
const char *http_param(const struct http_request *req, const char *name);

/* The first query value with this name, decoded like a parameter; NULL if there is
 * none. */
const char *http_query(const struct http_request *req, const char *name);

/* The same for a name that may be repeated: its value number `n`, from 0; NULL: there
 * are fewer. */
const char *http_query_nth(const struct http_request *req, const char *name,
                           unsigned n);

/*
 * A query value as a decimal number in [min, max]; `fallback` if there is none. For any
 * other value it answers 400 and returns false.
 */
bool http_query_u64(struct http_request *req, const char *name, uint64_t min,
                    uint64_t max, uint64_t fallback, uint64_t *out);

/* The value of a header (its name in any case); NULL if there is none. http_cookie
 * copies one cookie. */
const char *http_header(const struct http_request *req, const char *name);
bool http_cookie(const struct http_request *req, const char *name, char *out,
                 size_t size);

/*
 * The client's address as text without a zone; IPv4 in dotted form, also on a
 * dual-stack socket. Behind a trusted proxy it is the address that the proxy names:
 * 0.0.0.0 if that cannot be believed, the proxy's own address if it names none.
 */
const char *http_client_ip(const struct http_request *req);

/*
 * True if the connection comes from this machine and no sign shows that it carries
 * another client: it does not come from a trusted proxy, and the request shows no
 * proxy. Use it for limits only; it does not prove who the caller is.
 */
bool http_client_is_loopback(const struct http_request *req);

/* True if the connection comes from a trusted proxy, with or without forwarding
 * headers. */
bool http_came_by_trusted_proxy(const struct http_request *req);

/*
 * True if the request shows any sign of a proxy, trusted or not: Forwarded,
 * X-Forwarded-*, X-Real-IP and other headers that name a client, Via, or HTTP/1.0
 * (which nginx uses with the servers behind it).
 */
bool http_shows_proxy(const struct http_request *req);

/*
 * True if http_client_ip() is not the client's address: the request came through a
 * proxy that is not in `trusted_proxies`, or a trusted one sent an address that cannot
 * be believed.
 */
bool http_client_is_hidden(const struct http_request *req);

/*
 * The host that the client used, as far as known: X-Forwarded-Host of a trusted proxy,
 * or Host; NULL if there is none. The scheme is "http" or "https" if a trusted proxy
 * sends X-Forwarded-Proto, else NULL.
 */
const char *http_host(const struct http_request *req);
const char *http_scheme(const struct http_request *req);

/*
 * Marks the caller as known (it has proven its identity with a cookie or a token):
 * until it ends, its connection uses one of the reserved places and is not closed to
 * make room. Without effect behind a proxy, whose connections carry many callers. Call
 * it at the check of the caller, for each request.
 */
void http_request_mark_known(struct http_request *req);

/* True if the client uses TLS, with this server or with a trusted proxy before it. */
bool http_is_secure(const struct http_request *req);

/* The two ends of the connection itself, also if it comes from a proxy. False:
 * unknown. */
bool http_connection_ends(const struct http_request *req, struct sockaddr_storage *ours,
                          struct sockaddr_storage *theirs);

/* A number that the program stores with the connection; 0 at first. */
_Atomic uint64_t *http_connection_note(const struct http_request *req);

/* The address (text) of this machine that the client connected to. */
const char *http_local_ip(const struct http_request *req);

/* The length of the body as the client announced it; UINT64_MAX if it did not. */
uint64_t http_content_length(const struct http_request *req);

/* The body, which was read completely; NULL and 0 if there is none. */
const void *http_body(const struct http_request *req, size_t *len);

/*
 * The body as a JSON object, borrowed. If json.h refuses it, answers 400 (415 for a
 * Content-Type other than JSON) and returns NULL.
 */
struct cJSON *http_json(struct http_request *req);

/* ---- the answer ---- */

/* Adds a header to the coming answer; copies. CR and LF end the value. */
void http_set_header(struct http_request *req, const char *name, const char *value);

void http_reply(struct http_request *req, unsigned status, const char *type,
                const void *body, size_t len); /* copies */
void http_reply_owned(struct http_request *req, unsigned status, const char *type,
                      char *body, size_t len); /* takes a malloc'ed body */
/* Answers without a body. */
void http_reply_empty(struct http_request *req, unsigned status);
void http_reply_json(struct http_request *req, unsigned status,
                     struct cJSON *json); /* takes */
/* {"<name>":"<value>"} */
void http_reply_message(struct http_request *req, unsigned status, const char *name,
                        const char *value);

/*
 * An answer that is built once and sent often. Make it after the server is open; free
 * it before the server is closed.
 */
struct http_prepared;
/* Copies `body`; *returns owned*, NULL: no memory. */
struct http_prepared *http_prepare(struct http_server *s, const char *type,
                                   const void *body, size_t len);
/* After the last reply with it. NULL is fine. */
void http_prepared_free(struct http_prepared *p);
/* Answers with it, without copying. */
void http_reply_prepared(struct http_request *req, unsigned status,
                         const struct http_prepared *p);

/*
 * Answers with application/problem+json
 * {"type","title","status","detail","code","error"}. `code` is a short word for
 * programs ("peer_not_found"); the detail is for people.
 */
void http_fail(struct http_request *req, unsigned status, const char *code,
               const char *detail_format, ...) __attribute__((format(printf, 4, 5)));

/* Adds a numeric member to a later http_fail. `name` is borrowed until then. */
void http_problem_member(struct http_request *req, const char *name, uint64_t value);

/*
 * The same for an error of the core: the status is p2p_err_http_status(), the code its
 * name in lower case. `detail` NULL: the error's own text.
 */
void http_fail_err(struct http_request *req, enum p2p_err err, const char *detail);

/* 429 with Retry-After. */
void http_fail_busy(struct http_request *req, unsigned retry_after_s,
                    const char *detail);

/*
 * Sets ETag to `tag` (without quotes). If If-None-Match names it, answers 304 and
 * returns true: the request is finished.
 */
bool http_not_modified(struct http_request *req, const char *tag);

/* True if the request was answered. */
bool http_is_answered(const struct http_request *req);

#endif
