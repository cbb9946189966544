#include "peer/access/clients.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "p2p/clock.h"
#include "p2p/lock.h"

enum { BUCKETS = 1024 };

struct client {
    LIST_ENTRY(client) link;
    struct p2p_id id;
    unsigned references;
    _Atomic bool refused, refused_outside, is_trusted, is_guest;
    struct p2p_rate rate;
};

P2P_MUTEX_KIND(clients_lock);
struct clients {
    struct clients_lock lock;
    uint64_t bytes_per_s P2P_GUARDED_BY(clients_lock);
    struct p2p_rate *all; /* borrowed */
    size_t count P2P_GUARDED_BY(clients_lock);
    LIST_HEAD(, client) bucket[BUCKETS] P2P_GUARDED_BY(clients_lock);
};

enum p2p_err
clients_new(uint64_t bytes_per_s, struct p2p_rate *all, struct clients **out)
{
    struct clients *c = calloc(1, sizeof(*c));

    *out = c;
    if (c == NULL)
        return P2P_ERR_NOMEM;
    p2p_mutex_init(&c->lock);
    c->bytes_per_s = bytes_per_s;
    c->all = all;
    return P2P_OK;
}

void
clients_free(struct clients *c)
{
    if (c == NULL)
        return;
    p2p_mutex_clear(&c->lock);
    free(c);
}

void
clients_set_rate(struct clients *c, uint64_t bytes_per_s)
{
    uint64_t now_us = p2p_now_ms() * 1000;
    struct client *client;

    p2p_lock(&c->lock);
    c->bytes_per_s = bytes_per_s;
    for (size_t i = 0; i < BUCKETS; i++)
        LIST_FOREACH(client, &c->bucket[i], link)
    p2p_rate_set(&client->rate, bytes_per_s, now_us);
    p2p_unlock(&c->lock);
}

static unsigned
bucket_of(const struct p2p_id *id)
{
    return (id->b[0] | (unsigned)id->b[1] << 8) % BUCKETS; /* ids are hashes */
}

static struct client *
find(struct clients *c, const struct p2p_id *id, unsigned bucket)
{
    struct client *client;

    LIST_FOREACH(client, &c->bucket[bucket], link)
    {
        if (p2p_id_equal(&client->id, id))
            return client;
    }
    return NULL;
}

enum p2p_err
clients_get(struct clients *c, const struct p2p_id *id, struct client **out)
{
    unsigned bucket = bucket_of(id);
    struct client *client;

    p2p_lock(&c->lock);
    if ((client = find(c, id, bucket)) == NULL &&
        (client = calloc(1, sizeof(*client))) != NULL) {
        client->id = *id;
        p2p_rate_init(&client->rate, c->bytes_per_s, 0);
        client->rate.parent = c->all;
        LIST_INSERT_HEAD(&c->bucket[bucket], client, link);
        c->count++;
    }
    if (client != NULL)
        client->references++;
    p2p_unlock(&c->lock);
    *out = client;
    return client == NULL ? P2P_ERR_NOMEM : P2P_OK;
}

void
clients_put(struct clients *c, struct client *client)
{
    bool last;

    if (client == NULL)
        return;
    p2p_lock(&c->lock);
    if ((last = --client->references == 0)) {
        LIST_REMOVE(client, link);
        c->count--;
    }
    p2p_unlock(&c->lock);
    if (last) {
        p2p_rate_clear(&client->rate);
        free(client);
    }
}

struct p2p_rate *
client_rate(struct client *client)
{
    return &client->rate;
}

const struct p2p_id *
client_id(const struct client *client)
{
    return &client->id;
}

enum p2p_err
clients_ids(struct clients *c, struct p2p_id **ids, size_t *count)
{
    const struct client *client;
    size_t n = 0;

    p2p_lock(&c->lock);
    *ids = calloc(c->count + 1, sizeof(**ids));
    for (unsigned i = 0; i < BUCKETS && *ids != NULL; i++) {
        LIST_FOREACH(client, &c->bucket[i], link)
        {
            (*ids)[n++] = client->id;
        }
    }
    p2p_unlock(&c->lock);
    *count = n;
    return *ids == NULL ? P2P_ERR_NOMEM : P2P_OK;
}

void
client_judge(struct client *client, const struct access_standing *standing)
{
    client->refused_outside = standing->refused_outside;
    client->is_trusted = standing->is_trusted;
    client->is_guest = standing->is_guest;
    client->refused = standing->refused;
}

bool
clients_judge(struct clients *c, const struct p2p_id *id,
              const struct access_standing *standing)
{
    struct client *client;
    bool is_news = false;

    p2p_lock(&c->lock);
    if ((client = find(c, id, bucket_of(id))) != NULL) {
        is_news = standing->refused && !client->refused;
        client_judge(client, standing);
    }
    p2p_unlock(&c->lock);
    return is_news;
}

bool
client_is_refused(const struct client *client, bool is_outside)
{
    return client->refused || (is_outside && client->refused_outside);
}

bool
client_is_trusted(const struct client *client)
{
    return client->is_trusted;
}

bool
client_is_guest(const struct client *client)
{
    return client->is_guest;
}
