/* The table of known peers in memory: sorted by id, bounded; and the form of its
 * fields. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/trust/identity_internal.h"
#include "p2p/addr.h"
#include "p2p/array.h"

const char *
p2p_trust_name(enum p2p_trust trust)
{
    static const char *const names[] = {
        [P2P_TRUST_UNKNOWN] = "unknown", [P2P_TRUST_SEEN] = "seen",
        [P2P_TRUST_TRUSTED] = "trusted", [P2P_TRUST_BLOCKED] = "blocked",
        [P2P_TRUST_PENDING] = "pending",
    };

    return (unsigned)trust < sizeof(names) / sizeof(names[0]) ? names[trust]
                                                              : "unknown";
}

void
p2p_known_canonical(const char *address, char out[P2P_ADDRESS_MAX])
{
    char text[P2P_ADDR_TEXT];
    struct p2p_addr addr;

    if (p2p_addr_parse(address, 0, &addr) == P2P_OK &&
        strlen(p2p_addr_format(&addr, text, sizeof(text))) < P2P_ADDRESS_MAX)
        memmove(out, text, strlen(text) + 1);
    else if (strlen(address) < P2P_ADDRESS_MAX)
        memmove(out, address, strlen(address) + 1); /* may be `out` itself */
    else
        out[0] = '\0';
}

size_t
p2p_known_index(const struct p2p_known *known, const struct p2p_id *id, bool *found)
{
    size_t low = 0, high = known->count;

    *found = false;
    while (low < high && !*found) {
        size_t middle = low + (high - low) / 2;
        int order = memcmp(known->peers[middle].id.b, id->b, sizeof(id->b));
        *found = order == 0;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return *found ? high : low;
}

void
p2p_known_remove(struct p2p_known *known, size_t i)
{
    known->count--;
    memmove(&known->peers[i], &known->peers[i + 1],
            (known->count - i) * sizeof(known->peers[0]));
}

enum p2p_err
p2p_known_insert(struct p2p_known *known, const struct p2p_id *id,
                 struct p2p_known_peer **out)
{
    bool found;
    size_t i = p2p_known_index(known, id, &found);

    struct p2p_known_peer *more =
        p2p_array_room(known->peers, known->count, &known->cap, sizeof(*more));
    if (!more)
        return P2P_ERR_NOMEM;
    known->peers = more;
    memmove(&known->peers[i + 1], &known->peers[i],
            (known->count - i) * sizeof(known->peers[0]));
    known->count++;
    known->peers[i] = (struct p2p_known_peer){.id = *id};
    *out = &known->peers[i];
    return P2P_OK;
}

struct p2p_known_peer *
p2p_known_peer_of(const struct p2p_known *known, const struct p2p_id *id)
{
    bool found;
    size_t i = p2p_known_index(known, id, &found);

    return found ? &known->peers[i] : NULL;
}

/* Removes the peer with this trust that was seen longest ago. */
static bool
drop_oldest(struct p2p_known *known, enum p2p_trust trust)
{
    size_t oldest = known->count;

    for (size_t i = 0; i < known->count; i++)
        if (known->peers[i].trust == trust &&
            (oldest == known->count ||
             known->peers[i].last_seen_s < known->peers[oldest].last_seen_s))
            oldest = i;
    if (oldest == known->count)
        return false;
    p2p_known_remove(known, oldest);
    return true;
}

static size_t
count_of(const struct p2p_known *known, enum p2p_trust trust)
{
    size_t n = 0;

    for (size_t i = 0; i < known->count; i++)
        n += known->peers[i].trust == trust;
    return n;
}

/* Makes room for one more peer. Only pending peers are removed: peers that the user has
 * connected to or decided about stay, however many arrive. Some places are reserved for
 * the user's decisions. */
static enum p2p_err
make_room(struct p2p_known *known, enum p2p_trust trust)
{
    size_t max = trust == P2P_TRUST_SEEN
                     ? P2P_KNOWN_PEERS_MAX - P2P_KNOWN_PEERS_KEPT_FREE
                     : P2P_KNOWN_PEERS_MAX;

    if (trust == P2P_TRUST_PENDING &&
        count_of(known, P2P_TRUST_PENDING) >= P2P_KNOWN_PEERS_PENDING_MAX)
        drop_oldest(known, P2P_TRUST_PENDING);
    if (known->count < max || drop_oldest(known, P2P_TRUST_PENDING))
        return P2P_OK;
    return P2P_ERR_TOO_LARGE;
}

enum p2p_err
p2p_known_add(struct p2p_known *known, const struct p2p_id *id, enum p2p_trust trust,
              struct p2p_known_peer **out)
{
    enum p2p_err err = make_room(known, trust);

    if (!err)
        err = p2p_known_insert(known, id, out);
    if (err)
        return err;
    (*out)->trust = trust;
    (*out)->first_seen_s = (*out)->last_seen_s = (uint64_t)time(NULL);
    return P2P_OK;
}

/* ---- Addresses ---- */

/* The position of the address in the list, or P2P_PEER_ADDRESSES_MAX. */
static size_t
address_index(const struct p2p_known_peer *peer, const char *address)
{
    size_t i = 0;

    while (i < P2P_PEER_ADDRESSES_MAX && strcmp(peer->addresses[i], address) != 0)
        i++;
    return i;
}

bool
p2p_known_has_address(const struct p2p_known_peer *peer, const char *address)
{
    return address[0] != '\0' && address_index(peer, address) < P2P_PEER_ADDRESSES_MAX;
}

void
p2p_known_put_address(struct p2p_known_peer *peer, const char *address)
{
    char first[P2P_ADDRESS_MAX];
    size_t i = address_index(peer, address);

    if (address[0] == '\0')
        return;
    if (i == P2P_PEER_ADDRESSES_MAX)
        i--;
    snprintf(first, sizeof(first), "%s",
             address); /* `address` may point into the list */
    memmove(peer->addresses[1], peer->addresses[0], i * sizeof(peer->addresses[0]));
    memcpy(peer->addresses[0], first, sizeof(first));
}

void
p2p_known_drop_address(struct p2p_known_peer *peer, const char *address)
{
    const size_t last = P2P_PEER_ADDRESSES_MAX - 1;
    size_t i = address_index(peer, address);

    if (address[0] == '\0' || i > last)
        return;
    for (; i < last; i++)
        memcpy(peer->addresses[i], peer->addresses[i + 1], sizeof(peer->addresses[0]));
    peer->addresses[last][0] = '\0';
}

struct p2p_known_peer *
p2p_known_holder_of(const struct p2p_known *known, const char *address)
{
    for (size_t i = 0; i < known->count; i++)
        if (known->peers[i].trust != P2P_TRUST_PENDING &&
            p2p_known_has_address(&known->peers[i], address))
            return &known->peers[i];
    return NULL;
}
