#include "discovery/store/redis_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "p2p/bytes.h"
#include "p2p/net.h"

#define CONNECT_MS    1000u
#define SENTINEL_MS   1000u /* for its answer */
#define PORT_REDIS    6379
#define PORT_SENTINEL 26379

/* HOST[:PORT] of `len` bytes. */
static bool
parse_host(const char *text, size_t len, uint16_t port, struct p2p_addr *out)
{
    char where[300];

    if (len == 0 || len >= sizeof(where))
        return false;
    memcpy(where, text, len);
    where[len] = '\0';
    return p2p_addr_parse(where, port, out) == P2P_OK && out->port != 0;
}

static bool
parse_hosts(const char *text, size_t len, struct redis_url *out)
{
    const char *end = text + len;

    while (out->count < REDIS_HOSTS_MAX) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        size_t n = (size_t)((comma != NULL ? comma : end) - text);

        if (!parse_host(text, n, PORT_SENTINEL, &out->hosts[out->count]))
            return false;
        out->count++;
        if (comma == NULL)
            return true;
        text = comma + 1;
    }
    return false;
}

/* "/DB", "/" or nothing. */
static bool
parse_db(const char *text, struct redis_url *out)
{
    uint64_t db = 0;

    if (text[0] == '/' && text[1] != '\0' &&
        p2p_decimal_parse(text + 1, strlen(text + 1), 1023, &db) != P2P_OK)
        return false;
    out->db = (unsigned)db;
    return true;
}

static bool
parse_sentinel(const char *text, struct redis_url *out)
{
    size_t len = strcspn(text, "/"), name_len;

    if (text[len] != '/' || !parse_hosts(text, len, out))
        return false;
    text += len + 1;
    name_len = strcspn(text, "/");
    if (name_len == 0 || name_len > REDIS_MASTER_MAX)
        return false;
    memcpy(out->master, text, name_len);
    return parse_db(text + name_len, out);
}

static bool
parse_direct(const char *text, struct redis_url *out)
{
    size_t len = strcspn(text, "/");

    out->count = 1;
    return parse_host(text, len, PORT_REDIS, &out->hosts[0]) &&
           parse_db(text + len, out);
}

enum p2p_err
redis_url_parse(const char *text, struct redis_url *out)
{
    static const char direct[] = "redis://", sentinel[] = "redis+sentinel://";
    bool ok = false;

    *out = (struct redis_url){0};
    if (strncmp(text, direct, sizeof(direct) - 1) == 0)
        ok = parse_direct(text + sizeof(direct) - 1, out);
    else if (strncmp(text, sentinel, sizeof(sentinel) - 1) == 0)
        ok = parse_sentinel(text + sizeof(sentinel) - 1, out);
    return ok ? P2P_OK : P2P_ERR_USAGE;
}

#ifdef P2P_WITH_HIREDIS

#include <hiredis/hiredis.h>

struct redis_link {
    redisContext *context;
    uint64_t clock_ms, read_at_ms; /* the time of Redis, and our time at that moment */
};

static struct timeval
milliseconds(unsigned ms)
{
    return (struct timeval){.tv_sec = (time_t)(ms / 1000),
                            .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
}

/* Also true if there is no password. */
static bool
authenticate(struct redis_link *l, const char *variable)
{
    const char *password = getenv(variable);
    struct redisReply *reply;

    if (password == NULL)
        return true;
    reply = redis_ask(
        l, (struct redis_word[]){REDIS_TEXT("AUTH"), {password, strlen(password)}}, 2);
    redis_reply_free(reply);
    return reply != NULL;
}

static bool
select_db(struct redis_link *l, unsigned number)
{
    struct redisReply *reply;
    char db[16];

    snprintf(db, sizeof(db), "%u", number);
    reply =
        redis_ask(l, (struct redis_word[]){REDIS_TEXT("SELECT"), {db, strlen(db)}}, 2);
    redis_reply_free(reply);
    return reply != NULL;
}

/* NULL: the server does not answer, or the password in `variable` is wrong. */
static struct redis_link *
open_at(const struct p2p_addr *at, unsigned timeout_ms, const char *variable)
{
    struct redis_link *l = calloc(1, sizeof(*l));

    if (l == NULL)
        return NULL;
    l->context = redisConnectWithTimeout(at->host, at->port, milliseconds(CONNECT_MS));
    if (l->context == NULL || l->context->err != 0 ||
        redisSetTimeout(l->context, milliseconds(timeout_ms)) != REDIS_OK ||
        !authenticate(l, variable)) {
        redis_link_close(l);
        return NULL;
    }
    redisEnableKeepAlive(l->context);
    return l;
}

/* ---- Sentinel ---- */

static bool
take_address(const struct redisReply *reply, struct p2p_addr *out)
{
    size_t host_len, port_len;
    const char *host = redis_reply_text(redis_reply_at(reply, 0), &host_len);
    const char *port = redis_reply_text(redis_reply_at(reply, 1), &port_len);
    uint64_t number;

    *out = (struct p2p_addr){0};
    if (host == NULL || port == NULL || host_len >= sizeof(out->host) ||
        p2p_decimal_parse(port, port_len, UINT16_MAX, &number) != P2P_OK)
        return false;
    memcpy(out->host, host, host_len);
    out->port = (uint16_t)number;
    return true;
}

static bool
ask_sentinel(const struct p2p_addr *at, const char *master, struct p2p_addr *out)
{
    struct redis_word words[] = {REDIS_TEXT("SENTINEL"),
                                 REDIS_TEXT("get-master-addr-by-name"),
                                 {master, strlen(master)}};
    struct redis_link *l = open_at(at, SENTINEL_MS, "P2P_SENTINEL_PASSWORD");
    struct redisReply *reply = l != NULL ? redis_ask(l, words, 3) : NULL;
    bool ok = take_address(reply, out);

    redis_reply_free(reply);
    redis_link_close(l);
    return ok;
}

/* A Sentinel that was disconnected may still name the old master. */
static bool
is_master(struct redis_link *l)
{
    struct redisReply *reply =
        redis_ask(l, (struct redis_word[]){REDIS_TEXT("ROLE")}, 1);
    size_t len;
    const char *role = redis_reply_text(redis_reply_at(reply, 0), &len);
    bool yes = role != NULL && len == 6 && memcmp(role, "master", 6) == 0;

    redis_reply_free(reply);
    return yes;
}

static struct redis_link *
open_master(const struct redis_url *url, unsigned timeout_ms)
{
    for (unsigned i = 0; i < url->count; i++) {
        struct redis_link *l;
        struct p2p_addr at;

        if (!ask_sentinel(&url->hosts[i], url->master, &at))
            continue;
        l = open_at(&at, timeout_ms, "P2P_REDIS_PASSWORD");
        if (l != NULL && is_master(l))
            return l;
        redis_link_close(l);
    }
    return NULL;
}

enum p2p_err
redis_link_open(const struct redis_url *url, unsigned timeout_ms,
                struct redis_link **result)
{
    struct redis_link *l = url->master[0] != '\0' ? open_master(url, timeout_ms)
                                                  : open_at(&url->hosts[0], timeout_ms,
                                                            "P2P_REDIS_PASSWORD");

    *result = NULL;
    if (l == NULL || !select_db(l, url->db) || !redis_link_read_clock(l)) {
        redis_link_close(l);
        return P2P_ERR_UNREACHABLE;
    }
    *result = l;
    return P2P_OK;
}

void
redis_link_close(struct redis_link *l)
{
    if (l == NULL)
        return;
    if (l->context != NULL)
        redisFree(l->context);
    free(l);
}

/* answer = seconds, microseconds */
bool
redis_link_read_clock(struct redis_link *l)
{
    struct redisReply *reply =
        redis_ask(l, (struct redis_word[]){REDIS_TEXT("TIME")}, 1);
    size_t s_len, us_len;
    const char *s = redis_reply_text(redis_reply_at(reply, 0), &s_len);
    const char *us = redis_reply_text(redis_reply_at(reply, 1), &us_len);
    uint64_t seconds, micro;
    bool ok = s != NULL && us != NULL &&
              p2p_decimal_parse(s, s_len, UINT64_MAX / 1000 - 1, &seconds) == P2P_OK &&
              p2p_decimal_parse(us, us_len, 999999, &micro) == P2P_OK;

    if (ok) {
        l->read_at_ms = p2p_now_ms();
        l->clock_ms = seconds * 1000 + micro / 1000;
    }
    redis_reply_free(reply);
    return ok;
}

uint64_t
redis_link_at(const struct redis_link *l, uint64_t monotonic_ms)
{
    return l->clock_ms +
           (monotonic_ms -
            l->read_at_ms); /* a time in the past wraps around, which is correct */
}

void
redis_link_break(struct redis_link *l)
{
    shutdown(l->context->fd, SHUT_RDWR);
}

bool
redis_send(struct redis_link *l, const struct redis_word *words, size_t n)
{
    const char **at = malloc(n * sizeof(*at));
    size_t *lens = malloc(n * sizeof(*lens));
    bool done = false;

    if (at != NULL && lens != NULL) {
        for (size_t i = 0; i < n; i++) {
            at[i] = words[i].at;
            lens[i] = words[i].len;
        }
        done = redisAppendCommandArgv(l->context, (int)n, at, lens) == REDIS_OK;
    }
    free(at);
    free(lens);
    return done;
}

struct redisReply *
redis_receive(struct redis_link *l)
{
    void *reply = NULL;

    if (redisGetReply(l->context, &reply) != REDIS_OK || reply == NULL)
        return NULL;
    /* READONLY after a failover, OOM, LOADING: in all cases, try again later. */
    if (((redisReply *)reply)->type == REDIS_REPLY_ERROR) {
        freeReplyObject(reply);
        return NULL;
    }
    return reply;
}

struct redisReply *
redis_ask(struct redis_link *l, const struct redis_word *words, size_t n)
{
    return redis_send(l, words, n) ? redis_receive(l) : NULL;
}

void
redis_reply_free(struct redisReply *reply)
{
    if (reply != NULL)
        freeReplyObject(reply);
}

size_t
redis_reply_count(const struct redisReply *r)
{
    return r != NULL && r->type == REDIS_REPLY_ARRAY ? r->elements : 0;
}

const struct redisReply *
redis_reply_at(const struct redisReply *r, size_t i)
{
    return i < redis_reply_count(r) ? r->element[i] : NULL;
}

const char *
redis_reply_text(const struct redisReply *r, size_t *len)
{
    *len = 0;
    if (r == NULL || (r->type != REDIS_REPLY_STRING && r->type != REDIS_REPLY_STATUS))
        return NULL;
    *len = (size_t)r->len;
    return r->str;
}

#endif
