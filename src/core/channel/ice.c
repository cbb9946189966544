#include "core/channel/ice.h"

#include <string.h>

#include "p2p/crypto.h"

enum {
    MS = 1000,
    PACE_US = 20 * MS,
    REPEAT_FIRST_US = 100 * MS,
    REPEAT_MAX_US = 400 * MS,
    /* Once a pair works, better ones get so long before one is nominated. */
    SETTLE_US = 50 * MS,
    GIVE_UP_US = 10000 * MS,
    CONSENT_EVERY_US = 5000 * MS,
    CONSENT_ENDS_US = 10000 * MS,
};

/* ---- logins and priorities ---- */

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static enum p2p_err
random_text(char *out, size_t len)
{
    uint8_t bytes[P2P_ICE_PWD_MAX];
    enum p2p_err err = p2p_random(bytes, len);

    for (size_t i = 0; i < len && err == P2P_OK; i++)
        out[i] = alphabet[bytes[i] & 63];
    out[len] = '\0';
    return err;
}

enum p2p_err
p2p_ice_login_make(struct p2p_ice_login *out)
{
    enum p2p_err err;

    memset(out, 0, sizeof(*out));
    if ((err = random_text(out->ufrag, P2P_ICE_UFRAG_LEN)) != P2P_OK)
        return err;
    return random_text(out->pwd, P2P_ICE_PWD_LEN);
}

static bool
is_text(const char *text, size_t cap, size_t least)
{
    size_t len = strnlen(text, cap);

    return len >= least && len < cap && strspn(text, alphabet) == len;
}

bool
p2p_ice_login_is_valid(const struct p2p_ice_login *login)
{
    return is_text(login->ufrag, sizeof(login->ufrag), 4) &&
           is_text(login->pwd, sizeof(login->pwd), 22);
}

uint32_t
p2p_ice_priority(enum p2p_ice_kind kind, enum p2p_family family, unsigned nth)
{
    static const uint32_t by_kind[] = {126, 100, 110};
    uint32_t local = (family == P2P_FAMILY_6 ? 65535u : 32767u) - (nth & 0xff);

    return by_kind[kind] << 24 | local << 8 | 255;
}

/* ---- pairs ---- */

static struct p2p_ice_pair *
find_pair(struct p2p_ice *ice, const struct p2p_endpoint *remote)
{
    for (size_t i = 0; i < ice->pair_count; i++)
        if (p2p_endpoint_equal(&ice->pairs[i].remote, remote))
            return &ice->pairs[i];
    return NULL;
}

static struct p2p_ice_pair *
add_pair(struct p2p_ice *ice, const struct p2p_endpoint *remote, uint32_t priority)
{
    struct p2p_ice_pair *pair;

    if (ice->pair_count == P2P_ICE_PAIRS_MAX)
        return NULL;
    pair = &ice->pairs[ice->pair_count++];
    *pair = (struct p2p_ice_pair){.remote = *remote, .priority = priority};
    if (ice->selected == ice->pair_count - 1)
        ice->selected = P2P_ICE_PAIRS_MAX;
    return pair;
}

enum p2p_err
p2p_ice_init(struct p2p_ice *ice, const struct p2p_ice_options *opt, uint64_t now_us)
{
    memset(ice, 0, sizeof(*ice));
    ice->own = opt->own;
    ice->peer = opt->peer;
    ice->is_controlling = opt->is_controlling;
    ice->selected = P2P_ICE_PAIRS_MAX;
    ice->began_us = ice->pace_us = now_us;
    return p2p_random(&ice->tie_breaker, sizeof(ice->tie_breaker));
}

void
p2p_ice_add(struct p2p_ice *ice, const struct p2p_endpoint *remote, uint32_t priority)
{
    struct p2p_ice_pair *pair = find_pair(ice, remote);

    if (!p2p_endpoint_is_unicast(remote))
        return;
    if (pair != NULL)
        pair->priority = priority > pair->priority ? priority : pair->priority;
    else if (ice->pair_count < P2P_ICE_REMOTES_MAX)
        add_pair(ice, remote, priority);
}

const struct p2p_endpoint *
p2p_ice_selected(const struct p2p_ice *ice)
{
    return ice->selected < ice->pair_count ? &ice->pairs[ice->selected].remote : NULL;
}

static void
select_pair(struct p2p_ice *ice, struct p2p_ice_pair *pair, uint64_t now_us)
{
    ice->selected = (size_t)(pair - ice->pairs);
    ice->consent_us = now_us;
    ice->state = P2P_ICE_CONNECTED;
    for (size_t i = 0; i < ice->pair_count; i++)
        if (ice->pairs[i].state == P2P_PAIR_OPEN) /* no longer needed */
            ice->pairs[i].state = P2P_PAIR_FAILED;
}

/* ---- checks ---- */

static void
open_check(struct p2p_ice_pair *pair, bool nominates)
{
    if (p2p_random(&pair->id, sizeof(pair->id)) != P2P_OK)
        return; /* the next moment tries again */
    pair->state = P2P_PAIR_OPEN;
    pair->nominates = nominates;
    pair->sent = 0;
    pair->due_us = 0;
}

/* Checks this pair soon: the peer has sent a request over it, so the peer's router
 * accepts our packets. A check that has been sent keeps its id, because its answer may
 * still arrive. */
static void
trigger(const struct p2p_ice *ice, struct p2p_ice_pair *pair, uint64_t now_us)
{
    if (pair->state == P2P_PAIR_WORKS || &pair->remote == p2p_ice_selected(ice))
        return;
    if (pair->state != P2P_PAIR_OPEN)
        open_check(pair, false);
    else if (pair->due_us > now_us)
        pair->due_us = now_us;
}

static size_t
best_pair(const struct p2p_ice *ice, enum p2p_pair_state state)
{
    size_t best = P2P_ICE_PAIRS_MAX;

    for (size_t i = 0; i < ice->pair_count; i++)
        if (ice->pairs[i].state == state &&
            (best == P2P_ICE_PAIRS_MAX ||
             ice->pairs[i].priority > ice->pairs[best].priority))
            best = i;
    return best;
}

static bool
is_nominating(const struct p2p_ice *ice)
{
    for (size_t i = 0; i < ice->pair_count; i++)
        if (ice->pairs[i].state == P2P_PAIR_OPEN && ice->pairs[i].nominates)
            return true;
    return false;
}

/* The best pair that works, unless a better one may still come. */
static void
nominate(struct p2p_ice *ice, uint64_t now_us)
{
    size_t best = best_pair(ice, P2P_PAIR_WORKS);

    if (!ice->is_controlling || ice->selected < ice->pair_count ||
        best == P2P_ICE_PAIRS_MAX || is_nominating(ice))
        return;
    for (size_t i = 0; i < ice->pair_count; i++)
        if (ice->pairs[i].priority > ice->pairs[best].priority &&
            ice->pairs[i].state != P2P_PAIR_FAILED &&
            now_us < ice->works_us + SETTLE_US)
            return;
    open_check(&ice->pairs[best], true);
}

/* ---- what arrives ---- */

static void
answer(struct p2p_ice *ice, const struct p2p_endpoint *to, const struct p2p_stun_id *id,
       uint16_t error_code)
{
    if (ice->answer_count < P2P_ICE_ANSWERS_MAX)
        ice->answers[ice->answer_count++] =
            (struct p2p_ice_answer){*to, *id, error_code};
}

static bool
is_for_us(const struct p2p_ice *ice, const struct p2p_stun *m)
{
    size_t own = strlen(ice->own.ufrag);

    return strncmp(m->username, ice->own.ufrag, own) == 0 && m->username[own] == ':' &&
           strcmp(m->username + own + 1, ice->peer.ufrag) == 0;
}

static void
switch_roles(struct p2p_ice *ice, bool is_controlling)
{
    ice->is_controlling = is_controlling;
    for (size_t i = 0; i < ice->pair_count; i++)
        ice->pairs[i].nominates = false;
}

/* Both believe that they have the same role: the larger number controls. False: the
 * request gets an error. */
static bool
settle_roles(struct p2p_ice *ice, const struct p2p_stun *m)
{
    bool peer_controls = m->role == P2P_STUN_CONTROLLING;
    bool is_larger = ice->tie_breaker >= m->tie_breaker;

    if (m->role == P2P_STUN_NO_ROLE || peer_controls != ice->is_controlling)
        return true;
    if (is_larger == ice->is_controlling)
        return false;
    switch_roles(ice, is_larger);
    return true;
}

static void
on_request(struct p2p_ice *ice, const struct p2p_endpoint *from,
           const struct p2p_stun *m, uint64_t now_us)
{
    struct p2p_ice_pair *pair = find_pair(ice, from);

    if (!is_for_us(ice, m) || !m->has_priority || m->has_unknown)
        return;
    if (!settle_roles(ice, m)) {
        answer(ice, from, &m->id, P2P_STUN_ROLE_CONFLICT);
        return;
    }
    if (pair == NULL && (pair = add_pair(ice, from, m->priority)) == NULL)
        return;
    answer(ice, from, &m->id, 0);
    if (m->use_candidate && !ice->is_controlling) {
        pair->was_nominated = true;
        if (pair->state == P2P_PAIR_WORKS)
            select_pair(ice, pair, now_us);
    }
    trigger(ice, pair, now_us);
}

static struct p2p_ice_pair *
find_check(struct p2p_ice *ice, const struct p2p_stun_id *id)
{
    for (size_t i = 0; i < ice->pair_count; i++)
        if (ice->pairs[i].state == P2P_PAIR_OPEN && ice->pairs[i].sent > 0 &&
            memcmp(&ice->pairs[i].id, id, sizeof(*id)) == 0)
            return &ice->pairs[i];
    return NULL;
}

static void
on_success(struct p2p_ice *ice, struct p2p_ice_pair *pair, const struct p2p_stun *m,
           uint64_t now_us)
{
    pair->state = P2P_PAIR_WORKS;
    pair->due_us = now_us + CONSENT_EVERY_US;
    ice->mapped = m->mapped;
    if (pair->sent == 1)
        ice->rtt_us = now_us - pair->first_us;
    if (ice->works_us == 0)
        ice->works_us = now_us;
    if (pair->was_nominated || pair->nominates)
        select_pair(ice, pair, now_us);
    if (p2p_ice_selected(ice) == &pair->remote)
        ice->consent_us = now_us;
    pair->nominates = pair->was_nominated = false;
}

static void
on_answer(struct p2p_ice *ice, const struct p2p_endpoint *from,
          const struct p2p_stun *m, uint64_t now_us)
{
    struct p2p_ice_pair *pair = find_check(ice, &m->id);

    /* An answer from somewhere else was for another address: not symmetric. */
    if (pair == NULL || !p2p_endpoint_equal(&pair->remote, from))
        return;
    if (m->class == P2P_STUN_SUCCESS) {
        on_success(ice, pair, m, now_us);
    } else if (m->error_code == P2P_STUN_ROLE_CONFLICT) {
        switch_roles(ice, !ice->is_controlling);
        open_check(pair, false);
    } else {
        pair->state = P2P_PAIR_FAILED;
    }
}

void
p2p_ice_input(struct p2p_ice *ice, const struct p2p_endpoint *from, const uint8_t *data,
              size_t len, uint64_t now_us)
{
    struct p2p_stun m;
    bool is_request;

    if (ice->state == P2P_ICE_FAILED || p2p_stun_parse(data, len, &m) != P2P_OK)
        return;
    is_request = m.class == P2P_STUN_REQUEST;
    if (p2p_stun_check(data, len, &m, is_request ? ice->own.pwd : ice->peer.pwd) !=
        P2P_OK)
        return;
    if (is_request)
        on_request(ice, from, &m, now_us);
    else if (m.class == P2P_STUN_SUCCESS || m.class == P2P_STUN_ERROR)
        on_answer(ice, from, &m, now_us);
    nominate(ice, now_us);
}

/* ---- what is due ---- */

static size_t
put_answer(struct p2p_ice *ice, struct p2p_endpoint *to, uint8_t out[P2P_STUN_MAX])
{
    const struct p2p_ice_answer a = ice->answers[0];
    struct p2p_stun m = {.class = a.error_code == 0 ? P2P_STUN_SUCCESS : P2P_STUN_ERROR,
                         .id = a.id,
                         .error_code = a.error_code};
    size_t len;

    if (a.error_code == 0)
        m.mapped = a.to;
    ice->answer_count--;
    memmove(ice->answers, ice->answers + 1,
            ice->answer_count * sizeof(ice->answers[0]));
    *to = a.to;
    return p2p_stun_format(&m, ice->own.pwd, out, &len) == P2P_OK ? len : 0;
}

static uint64_t
repeat_us(unsigned sent)
{
    uint64_t us = REPEAT_FIRST_US;

    for (; sent > 1 && us < REPEAT_MAX_US; sent--)
        us *= 2;
    return us;
}

static size_t
put_check(struct p2p_ice *ice, struct p2p_ice_pair *pair, uint64_t now_us,
          struct p2p_endpoint *to, uint8_t out[P2P_STUN_MAX])
{
    struct p2p_stun m = {
        .class = P2P_STUN_REQUEST,
        .id = pair->id,
        .priority = p2p_ice_priority(P2P_ICE_FOUND, pair->remote.family, 0),
        .has_priority = true,
        .use_candidate = ice->is_controlling && pair->nominates,
        .role = ice->is_controlling ? P2P_STUN_CONTROLLING : P2P_STUN_CONTROLLED,
        .tie_breaker = ice->tie_breaker,
    };
    size_t own = strlen(ice->own.ufrag), peer = strlen(ice->peer.ufrag), len;

    memcpy(m.username, ice->peer.ufrag, peer);
    m.username[peer] = ':';
    memcpy(m.username + peer + 1, ice->own.ufrag, own);
    if (pair->sent++ == 0)
        pair->first_us = now_us;
    pair->due_us = now_us + repeat_us(pair->sent);
    ice->pace_us = now_us + PACE_US;
    *to = pair->remote;
    return p2p_stun_format(&m, ice->peer.pwd, out, &len) == P2P_OK ? len : 0;
}

/* The check that is due first, of those that are due. */
static struct p2p_ice_pair *
due_check(struct p2p_ice *ice, uint64_t now_us)
{
    struct p2p_ice_pair *first = NULL;

    for (size_t i = 0; i < ice->pair_count; i++) {
        struct p2p_ice_pair *pair = &ice->pairs[i];

        if (pair->state == P2P_PAIR_OPEN && pair->due_us <= now_us &&
            (first == NULL || pair->due_us < first->due_us))
            first = pair;
    }
    return first;
}

/* Opens the checks that are next: of the pairs that were never checked the best, and
 * the one that shows that the selected pair is alive. */
static void
open_next(struct p2p_ice *ice, uint64_t now_us)
{
    size_t next = best_pair(ice, P2P_PAIR_WAITING);
    struct p2p_ice_pair *used =
        ice->selected < ice->pair_count ? &ice->pairs[ice->selected] : NULL;

    if (used != NULL && used->state == P2P_PAIR_WORKS && used->due_us <= now_us)
        open_check(used, false);
    if (next < P2P_ICE_PAIRS_MAX && used == NULL)
        open_check(&ice->pairs[next], false);
}

/* The answer to a check that was sent so often does not come. The selected pair has
 * until its consent ends. */
static void
give_up_checks(struct p2p_ice *ice, uint64_t now_us)
{
    for (size_t i = 0; i < ice->pair_count; i++) {
        struct p2p_ice_pair *pair = &ice->pairs[i];

        if (pair->state != P2P_PAIR_OPEN || pair->due_us > now_us ||
            pair->sent < P2P_ICE_CHECKS_MAX)
            continue;
        if (i == ice->selected)
            open_check(pair, false);
        else
            pair->state = P2P_PAIR_FAILED;
    }
}

static void
check_time(struct p2p_ice *ice, uint64_t now_us)
{
    if (ice->state == P2P_ICE_CHECKING && now_us >= ice->began_us + GIVE_UP_US)
        ice->state = P2P_ICE_FAILED;
    if (ice->state == P2P_ICE_CONNECTED && now_us >= ice->consent_us + CONSENT_ENDS_US)
        ice->state = P2P_ICE_FAILED;
    give_up_checks(ice, now_us);
    nominate(ice, now_us);
}

size_t
p2p_ice_output(struct p2p_ice *ice, uint64_t now_us, struct p2p_endpoint *to,
               uint8_t out[P2P_STUN_MAX])
{
    struct p2p_ice_pair *pair;

    check_time(ice, now_us);
    if (ice->state == P2P_ICE_FAILED)
        return 0;
    if (ice->answer_count > 0)
        return put_answer(ice, to, out);
    if (now_us < ice->pace_us)
        return 0;
    if (due_check(ice, now_us) == NULL)
        open_next(ice, now_us);
    pair = due_check(ice, now_us);
    return pair != NULL ? put_check(ice, pair, now_us, to, out) : 0;
}

static uint64_t
next_check_us(const struct p2p_ice *ice)
{
    uint64_t due = UINT64_MAX;

    for (size_t i = 0; i < ice->pair_count; i++) {
        const struct p2p_ice_pair *pair = &ice->pairs[i];
        bool is_used = i == ice->selected;
        uint64_t at = UINT64_MAX;

        if (pair->state == P2P_PAIR_OPEN || (pair->state == P2P_PAIR_WORKS && is_used))
            at = pair->due_us;
        else if (pair->state == P2P_PAIR_WAITING && ice->selected >= ice->pair_count)
            at = 0;
        due = at < due ? at : due;
    }
    return due > ice->pace_us || due == UINT64_MAX ? due : ice->pace_us;
}

uint64_t
p2p_ice_due_us(const struct p2p_ice *ice, uint64_t now_us)
{
    uint64_t due;

    if (ice->state == P2P_ICE_FAILED)
        return UINT64_MAX;
    if (ice->answer_count > 0)
        return now_us;
    due = next_check_us(ice);
    if (ice->state == P2P_ICE_CHECKING) {
        if (ice->works_us != 0 && ice->works_us + SETTLE_US > now_us &&
            ice->works_us + SETTLE_US < due)
            due = ice->works_us + SETTLE_US;
        if (ice->began_us + GIVE_UP_US < due)
            due = ice->began_us + GIVE_UP_US;
    } else if (ice->consent_us + CONSENT_ENDS_US < due) {
        due = ice->consent_us + CONSENT_ENDS_US;
    }
    return due > now_us ? due : now_us;
}
