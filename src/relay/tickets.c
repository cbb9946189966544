#include "relay/tickets.h"

#include <stdlib.h>
#include <string.h>

#include "p2p/siphash.h"

enum { BUCKETS = 4096 };

struct ticket {
    struct ticket *next;
    struct p2p_session_id session;
    struct p2p_id from, to;
    uint64_t expires_s;
    bool is_shown[2]; /* by side */
    void *waiting;    /* the connection of the first side, until the second comes */
};

struct tickets {
    uint64_t seed[2];
    size_t count, max;
    struct ticket *buckets[BUCKETS];
};

enum p2p_err
tickets_new(size_t max, struct tickets **out)
{
    struct tickets *t = calloc(1, sizeof(*t));
    enum p2p_err err;

    *out = NULL;
    if (t == NULL)
        return P2P_ERR_NOMEM;
    t->max = max;
    if ((err = p2p_random(t->seed, sizeof(t->seed))) != P2P_OK) {
        free(t);
        return err;
    }
    *out = t;
    return P2P_OK;
}

static size_t
expire(struct tickets *t, uint64_t now_s)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        struct ticket **link = &t->buckets[i];
        while (*link != NULL) {
            struct ticket *ticket = *link;
            if (ticket->expires_s >= now_s) {
                link = &ticket->next;
                continue;
            }
            *link = ticket->next;
            free(ticket);
            t->count--;
        }
    }
    return t->count;
}

size_t
tickets_expire(struct tickets *t, uint64_t now_s)
{
    return t->count > 0 ? expire(t, now_s) : 0;
}

void
tickets_free(struct tickets *t)
{
    if (t == NULL)
        return;
    (void)expire(t, UINT64_MAX);
    free(t);
}

static struct ticket **
bucket_of(struct tickets *t, const struct p2p_session_id *session)
{
    return &t->buckets[p2p_siphash13(t->seed, session->b, sizeof(session->b)) %
                       BUCKETS];
}

static struct ticket *
find(struct tickets *t, const struct p2p_session_id *session)
{
    struct ticket *found = *bucket_of(t, session);

    while (found != NULL &&
           memcmp(found->session.b, session->b, sizeof(session->b)) != 0)
        found = found->next;
    return found;
}

static enum ticket_verdict
show_first(struct tickets *t, const struct p2p_relay_token *token, void *holder)
{
    struct ticket **bucket = bucket_of(t, &token->session), *made;

    if (t->count >= t->max || (made = calloc(1, sizeof(*made))) == NULL)
        return TICKET_FULL;
    made->session = token->session;
    made->from = token->from;
    made->to = token->to;
    made->expires_s = token->expires_s;
    made->is_shown[token->side] = true;
    made->waiting = holder;
    made->next = *bucket;
    *bucket = made;
    t->count++;
    return TICKET_FIRST;
}

enum ticket_verdict
tickets_show(struct tickets *t, const struct p2p_relay_token *token, void *holder,
             uint64_t now_s, void **other)
{
    struct ticket *ticket;

    *other = NULL;
    if (token->expires_s < now_s || token->expires_s > now_s + TICKET_LIFE_MAX_S)
        return TICKET_EXPIRED;
    if ((ticket = find(t, &token->session)) == NULL)
        return show_first(t, token, holder);
    if (ticket->is_shown[token->side] || ticket->waiting == NULL ||
        !p2p_id_equal(&ticket->from, &token->from) ||
        !p2p_id_equal(&ticket->to, &token->to))
        return TICKET_USED;
    ticket->is_shown[token->side] = true;
    if (token->expires_s > ticket->expires_s)
        ticket->expires_s = token->expires_s;
    *other = ticket->waiting;
    ticket->waiting = NULL;
    return TICKET_SECOND;
}

void
tickets_leave(struct tickets *t, const struct p2p_session_id *session,
              const void *holder)
{
    struct ticket *ticket = find(t, session);

    if (ticket != NULL && ticket->waiting == holder)
        ticket->waiting = NULL;
}
