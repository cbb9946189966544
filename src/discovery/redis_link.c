#include "discovery/redis_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "p2p/bytes.h"
#include "p2p/net.h"

#define CONNECT_MS   1000
#define PORT_DEFAULT 6379

enum p2p_err
redis_url_parse(const char *text, struct redis_url *out)
{
    static const char scheme[] = "redis://";
    struct p2p_addr addr;
    const char *slash;
    uint64_t db = 0;
    char where[300];
    size_t len;

    *out = (struct redis_url){0};
    if (strncmp(text, scheme, sizeof(scheme) - 1) != 0)
        return P2P_ERR_USAGE;
    text += sizeof(scheme) - 1;
    slash = strchr(text, '/');
    len = slash != NULL ? (size_t)(slash - text) : strlen(text);
    if (len == 0 || len >= sizeof(where))
        return P2P_ERR_USAGE;
    memcpy(where, text, len);
    where[len] = '\0';
    if (p2p_addr_parse(where, PORT_DEFAULT, &addr) != P2P_OK || addr.port == 0)
        return P2P_ERR_USAGE;
    if (slash != NULL && slash[1] != '\0' &&
        p2p_decimal_parse(slash + 1, strlen(slash + 1), 1023, &db) != P2P_OK)
        return P2P_ERR_USAGE;
    snprintf(out->host, sizeof(out->host), "%s", addr.host);
    out->port = addr.port;
    out->db = (unsigned)db;
    return P2P_OK;
}

#ifdef P2P_WITH_HIREDIS

#include <hiredis/hiredis.h>

struct redis_link {
    redisContext *context;
};

static struct timeval
milliseconds(unsigned ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
}

static bool
introduce(struct redis_link *l, const struct redis_url *url)
{
    const char *password = getenv("P2P_REDIS_PASSWORD");
    struct redisReply *reply;
    char db[16];

    if (password != NULL) {
        struct redis_word auth[] = {REDIS_TEXT("AUTH"), {password, strlen(password)}};

        if ((reply = redis_ask(l, auth, 2)) == NULL)
            return false;
        redis_reply_free(reply);
    }
    snprintf(db, sizeof(db), "%u", url->db);
    reply =
        redis_ask(l, (struct redis_word[]){REDIS_TEXT("SELECT"), {db, strlen(db)}}, 2);
    redis_reply_free(reply);
    return reply != NULL;
}

enum p2p_err
redis_link_open(const struct redis_url *url, unsigned timeout_ms,
                struct redis_link **result)
{
    struct redis_link *l = calloc(1, sizeof(*l));

    *result = NULL;
    if (l == NULL)
        return P2P_ERR_NOMEM;
    l->context =
        redisConnectWithTimeout(url->host, url->port, milliseconds(CONNECT_MS));
    if (l->context == NULL || l->context->err != 0 ||
        redisSetTimeout(l->context, milliseconds(timeout_ms)) != REDIS_OK ||
        !introduce(l, url)) {
        redis_link_close(l);
        return P2P_ERR_UNREACHABLE;
    }
    redisEnableKeepAlive(l->context);
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
    /* READONLY after a failover, OOM, LOADING: all mean that this is not the time. */
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
