#include "discovery/http/meeting.h"

#include <stdlib.h>
#include <string.h>

#include "http/source/ratelimit.h"
#include "http/wait.h"
#include "p2p/clock.h"
#include "p2p/limits.h"

enum { SLOTS = 65536, MAX_BOXES = 65536 };

static bool
make_budget(struct http_ratelimit **out, unsigned per_minute)
{
    *out = http_ratelimit_new((double)per_minute / 60, (double)per_minute / 2, SLOTS);
    return *out != NULL;
}

/* A session gets tokens once. The bucket needs longer to fill again than a call is
 * valid. */
static bool
make_sessions(struct http_ratelimit **out)
{
    *out = http_ratelimit_new(1.0 / 300, 1, SLOTS);
    return *out != NULL;
}

/* So nobody tries one number after the other. */
static bool
make_claims(struct http_ratelimit **out)
{
    *out = http_ratelimit_new((double)MEETING_CLAIMS_PER_HOUR / 3600,
                              MEETING_CLAIMS_BURST, SLOTS);
    return *out != NULL;
}

enum p2p_err
meeting_open(struct meeting *m, struct http_server *server)
{
    const struct boxes_limits limits = {
        .max_boxes = MAX_BOXES,
        .max_bytes = 64 * P2P_MIB,
        .max_bytes_per_source = 256 * P2P_KIB,
    };
    enum p2p_err err = boxes_new(&limits, &m->boxes);

    if (err == P2P_OK)
        err = codes_new(&m->codes);
    for (size_t i = 0; i < MEETING_LISTS && err == P2P_OK; i++)
        if ((m->waiting[i] = http_waitlist_new(server)) == NULL)
            err = P2P_ERR_NOMEM;
    if (err == P2P_OK && (!make_budget(&m->posts, MEETING_POSTS_PER_SOURCE) ||
                          !make_budget(&m->senders, MEETING_CALLS_PER_SENDER) ||
                          !make_budget(&m->targets, MEETING_CALLS_PER_BOX) ||
                          !make_budget(&m->token_sources, MEETING_TOKENS_PER_SOURCE) ||
                          !make_budget(&m->token_peers, MEETING_TOKENS_PER_PEER) ||
                          !make_budget(&m->tokens, MEETING_TOKENS_IN_TOTAL) ||
                          !make_budget(&m->codes_made, MEETING_CODES_PER_SOURCE) ||
                          !make_budget(&m->turn_logins, MEETING_TURN_PER_SOURCE) ||
                          !make_claims(&m->claims) || !make_sessions(&m->sessions)))
        err = P2P_ERR_NOMEM;
    return err;
}

void
meeting_close(struct meeting *m)
{
    struct http_ratelimit *const budgets[] = {
        m->posts,  m->senders,  m->targets,    m->token_sources, m->token_peers,
        m->tokens, m->sessions, m->codes_made, m->claims,        m->turn_logins,
    };

    for (size_t i = 0; i < sizeof(budgets) / sizeof(budgets[0]); i++)
        http_ratelimit_free(budgets[i]);
    for (size_t i = 0; i < MEETING_LISTS; i++)
        if (m->waiting[i] != NULL)
            http_waitlist_free(m->waiting[i]);
    codes_free(m->codes);
    boxes_free(m->boxes);
    p2p_wipe(m, sizeof(*m));
}

struct http_waitlist *
meeting_list(const struct meeting *m, const struct box_id *id)
{
    /* Both kinds of numbers are random, or hashes of keys. */
    return m->waiting[id->b[0] % MEETING_LISTS];
}

static bool
refuse(struct http_request *req, unsigned retry_after_s)
{
    if (retry_after_s > 0)
        http_fail_busy(req, retry_after_s, "too many messages; try again later");
    return retry_after_s > 0;
}

bool
meeting_is_limited(struct http_request *req, struct http_ratelimit *budget)
{
    return !http_client_is_loopback(req) &&
           refuse(req,
                  http_ratelimit_take_ip(budget, http_client_ip(req), 1, p2p_now_ms()));
}

bool
meeting_is_limited_for(struct http_request *req, struct http_ratelimit *budget,
                       const void *key, size_t len)
{
    return refuse(req, http_ratelimit_take(budget, key, len, 1, p2p_now_ms()));
}
