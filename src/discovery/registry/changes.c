#include "discovery/registry/changes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "p2p/bytes.h"
#include "p2p/lock.h"

P2P_MUTEX_KIND(changes_lock);
struct changes {
    struct changes_lock lock;
    _Atomic uint64_t version;
    _Atomic bool is_noted;
    struct http_waitlist
        *_Atomic waiters; /* is set when changes may be noted already */
    char epoch[CHANGES_EPOCH_LEN + 1];
    struct change kept[CHANGES_KEPT]; /* the change of version v is kept[v %
                                       * CHANGES_KEPT] */
};

struct changes *
changes_new(void)
{
    struct changes *c = calloc(1, sizeof(*c));
    uint8_t random[CHANGES_EPOCH_LEN / 2];

    if (c == NULL || p2p_random(random, sizeof(random)) != P2P_OK) {
        free(c);
        return NULL;
    }
    p2p_hex_format(random, sizeof(random), c->epoch);
    p2p_mutex_init(&c->lock);
    return c;
}

void
changes_free(struct changes *c)
{
    if (c == NULL)
        return;
    p2p_mutex_clear(&c->lock);
    free(c);
}

void
changes_set_waitlist(struct changes *c, struct http_waitlist *waiters)
{
    c->waiters = waiters;
}

void
changes_note(struct changes *c, const struct p2p_id *id, bool is_gone)
{
    p2p_lock(&c->lock);
    c->kept[(c->version + 1) % CHANGES_KEPT] = (struct change){*id, is_gone};
    atomic_fetch_add(&c->version, 1);
    p2p_unlock(&c->lock);
    atomic_store(&c->is_noted, true);
}

void
changes_wake(struct changes *c)
{
    struct http_waitlist *waiters = c->waiters;

    if (atomic_exchange(&c->is_noted, false) && waiters != NULL)
        http_waitlist_wake(waiters);
}

uint64_t
changes_version(const struct changes *c)
{
    return atomic_load(&c->version);
}

const char *
changes_epoch(const struct changes *c)
{
    return c->epoch;
}

bool
changes_since(struct changes *c, uint64_t since, struct change *out, size_t *count,
              uint64_t *version)
{
    bool is_known;

    *count = 0;
    p2p_lock(&c->lock);
    *version = c->version;
    is_known = since <= *version && *version - since <= CHANGES_KEPT;
    for (uint64_t v = since + 1; is_known && v <= *version; v++)
        out[(*count)++] = c->kept[v % CHANGES_KEPT];
    p2p_unlock(&c->lock);
    return is_known;
}
