/* The known peers: lookups, checks, and changes under the directory's lock. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/trust/identity_internal.h"
#include "p2p/addr.h"
#include "p2p/bytes.h"
#include "p2p/lock.h"

/* A meeting without other news writes the file only if `last_seen_s` is older than
 * this. */
#define LAST_SEEN_GRAIN_S 3600

static void
copy_text(char *out, size_t cap, const char *text)
{
    size_t len = strlen(text);

    if (len >= cap)
        len = cap - 1;
    memmove(out, text, len); /* the argument may be a field of this entry */
    out[len] = '\0';
}

/* ---- Addresses ---- */

bool
p2p_known_is_at(const struct p2p_known_peer *peer, const char *address)
{
    char canonical[P2P_ADDRESS_MAX];

    p2p_known_canonical(address, canonical);
    return p2p_known_has_address(peer, canonical);
}

/* The canonical form of an address, or "" if there is none. */
static bool
take_address(const char *address, char out[P2P_ADDRESS_MAX])
{
    struct p2p_addr addr;

    p2p_known_canonical(address, out);
    return address[0] == '\0' || (out[0] != '\0' && p2p_known_address_is_valid(out) &&
                                  p2p_addr_parse(address, 0, &addr) == P2P_OK);
}

/* ---- Reading it ---- */

static enum p2p_err
lock_and_load(struct p2p_identity *identity) P2P_ACQUIRES(p2p_known_lock)
{
    p2p_lock(&identity->lock);
    return p2p_known_load(p2p_root_fd(identity->dir), &identity->known);
}

enum p2p_err
p2p_known_find(struct p2p_identity *identity, const struct p2p_id *id,
               struct p2p_known_peer *out)
{
    memset(out, 0, sizeof(*out));
    enum p2p_err err = lock_and_load(identity);
    const struct p2p_known_peer *peer =
        err ? NULL : p2p_known_peer_of(&identity->known, id);
    if (peer)
        *out = *peer;
    else if (!err)
        err = P2P_ERR_NOT_FOUND;
    p2p_unlock(&identity->lock);
    return err;
}

enum p2p_err
p2p_known_list(struct p2p_identity *identity, struct p2p_known_peer **out,
               size_t *count)
{
    *out = NULL;
    *count = 0;
    enum p2p_err err = lock_and_load(identity);
    const struct p2p_known *known = &identity->known;
    if (!err && known->count > 0) {
        *out = calloc(known->count, sizeof(**out));
        if (*out)
            memcpy(*out, known->peers, known->count * sizeof(**out));
        else
            err = P2P_ERR_NOMEM;
    }
    if (!err)
        *count = known->count;
    p2p_unlock(&identity->lock);
    return err;
}

/* Copies the digits of a prefix in lower case, without the "..." that lists append. */
static size_t
parse_prefix(const char *text, char digits[P2P_ID_HEX_LEN + 1])
{
    size_t len = strlen(text);

    if (len > 3 && strcmp(text + len - 3, "...") == 0)
        len -= 3;
    if (len < 8 || len > P2P_ID_HEX_LEN)
        return 0;
    for (size_t i = 0; i < len; i++) {
        if (!isxdigit((unsigned char)text[i]))
            return 0;
        digits[i] = (char)tolower((unsigned char)text[i]);
    }
    digits[len] = '\0';
    return len;
}

enum p2p_err
p2p_known_resolve(struct p2p_identity *identity, const char *text, struct p2p_id *out)
{
    char digits[P2P_ID_HEX_LEN + 1], id[P2P_ID_HEX_LEN + 1];
    size_t len = parse_prefix(text, digits), matches = 0;

    memset(out, 0, sizeof(*out));
    if (len == 0)
        return P2P_ERR_USAGE;
    if (len == P2P_ID_HEX_LEN)
        return p2p_hex_parse(digits, out->b, sizeof(out->b));
    enum p2p_err err = lock_and_load(identity);
    for (size_t i = 0; i < identity->known.count && !err; i++) {
        const struct p2p_id *candidate = &identity->known.peers[i].id;
        p2p_hex_format(candidate->b, sizeof(candidate->b), id);
        if (strncmp(id, digits, len) == 0) {
            *out = *candidate;
            matches++;
        }
    }
    p2p_unlock(&identity->lock);
    if (matches == 1)
        return P2P_OK;
    memset(out, 0, sizeof(*out));
    if (err)
        return err;
    return matches == 0 ? P2P_ERR_NOT_FOUND : P2P_ERR_USAGE;
}

/* ---- Changing it ---- */

/* Changes the newest state of the table, with both locks held. If `*changed` stays
 * false, nothing is written. */
struct change {
    const struct p2p_id *id;
    enum p2p_trust trust;
    const char *name, *address; /* NULL: as it is */
    const struct p2p_about *claim;
    uint8_t protocol;
};
typedef enum p2p_err change_fn(struct p2p_known *known, const struct change *c,
                               bool *changed);

static enum p2p_err
apply(struct p2p_identity *identity, change_fn *fn, const struct change *wanted)
{
    int dir = p2p_root_fd(identity->dir), lock = -1;
    char address[P2P_ADDRESS_MAX];
    struct change change = *wanted, *c = &change;
    bool changed = false;
    enum p2p_err err;

    if ((c->address && !take_address(c->address, address)) ||
        (c->name && !p2p_known_name_is_valid(c->name)))
        return P2P_ERR_USAGE;
    if (c->address)
        c->address = address;
    p2p_lock(&identity->lock);
    err = p2p_keys_lock(dir, &lock);
    if (!err)
        err = p2p_known_load(dir, &identity->known);
    if (!err)
        err = fn(&identity->known, c, &changed);
    if (!err && changed) {
        err = p2p_known_save(dir, &identity->known);
        if (err) /* memory and disk differ: read the file again */
            memset(&identity->known.file, 0xff, sizeof(identity->known.file));
    }
    if (lock >= 0)
        close(lock);
    p2p_unlock(&identity->lock);
    return err;
}

static enum p2p_err
change_met(struct p2p_known *known, const struct change *c, bool *changed)
{
    struct p2p_known_peer *peer = p2p_known_peer_of(known, c->id);
    uint64_t now = (uint64_t)time(NULL);

    if (peer && peer->trust == P2P_TRUST_BLOCKED)
        return P2P_ERR_NOT_ALLOWED;
    *changed = !peer;
    if (!peer) {
        enum p2p_err err = p2p_known_add(known, c->id, P2P_TRUST_SEEN, &peer);
        if (err)
            return err;
    }
    if (peer->trust == P2P_TRUST_PENDING) {
        peer->trust = P2P_TRUST_SEEN;
        *changed = true;
    }
    /* An address that is remembered for another peer stays with that peer until the
     * user decides otherwise. Otherwise any peer that can answer there would inherit
     * the trust. */
    if (c->address && p2p_known_has_address(peer, c->address)) {
        p2p_known_put_address(peer,
                              c->address); /* a new order alone is not worth a write */
    } else if (c->address && c->address[0] && !p2p_known_holder_of(known, c->address)) {
        p2p_known_put_address(peer, c->address);
        *changed = true;
    }
    if (c->protocol > peer->min_protocol) {
        peer->min_protocol = c->protocol;
        *changed = true;
    }
    if (now >= peer->last_seen_s + LAST_SEEN_GRAIN_S || now < peer->last_seen_s)
        *changed = true;
    if (*changed)
        peer->last_seen_s = now;
    return P2P_OK;
}

enum p2p_err
p2p_known_met(struct p2p_identity *identity, const char *address,
              const struct p2p_id *id, uint8_t protocol)
{
    struct change c = {.id = id, .address = address, .protocol = protocol >= 2 ? 2 : 0};

    return apply(identity, change_met, &c);
}

/* The user says that this peer is at this address: no other peer is remembered there
 * from now on. */
static void
take_addresses(struct p2p_known *known, const struct p2p_known_peer *peer)
{
    for (size_t i = 0; i < known->count; i++)
        for (size_t a = 0; &known->peers[i] != peer && a < P2P_PEER_ADDRESSES_MAX; a++)
            p2p_known_drop_address(&known->peers[i], peer->addresses[a]);
}

static enum p2p_err
change_set(struct p2p_known *known, const struct change *c, bool *changed)
{
    struct p2p_known_peer *peer = p2p_known_peer_of(known, c->id);

    if (!peer) {
        enum p2p_err err = p2p_known_add(known, c->id, c->trust, &peer);
        if (err)
            return err;
    }
    *changed = true;
    peer->trust = c->trust;
    if (c->name)
        copy_text(peer->name, sizeof(peer->name), c->name);
    if (c->address)
        p2p_known_put_address(peer, c->address);
    if (c->trust == P2P_TRUST_TRUSTED)
        take_addresses(known, peer);
    return P2P_OK;
}

enum p2p_err
p2p_known_set(struct p2p_identity *identity, const struct p2p_id *id,
              enum p2p_trust trust, const char *name, const char *address)
{
    struct change c = {.id = id, .trust = trust, .name = name, .address = address};

    if (trust < P2P_TRUST_SEEN || trust > P2P_TRUST_PENDING)
        return P2P_ERR_USAGE;
    return apply(identity, change_set, &c);
}

static enum p2p_err
change_claim(struct p2p_known *known, const struct change *c, bool *changed)
{
    struct p2p_known_peer *peer = p2p_known_peer_of(known, c->id);

    if (!peer)
        return P2P_ERR_NOT_FOUND;
    *changed = strcmp(peer->claim.name, c->claim->name) != 0 ||
               peer->claim.kind != c->claim->kind;
    peer->claim = *c->claim;
    return P2P_OK;
}

enum p2p_err
p2p_known_claim(struct p2p_identity *identity, const struct p2p_id *id,
                const struct p2p_about *claim)
{
    struct change c = {.id = id, .claim = claim};
    struct p2p_known_peer peer;

    /* Most peers repeat their claims, which needs no lock of the folder. */
    if (p2p_known_find(identity, id, &peer) == P2P_OK &&
        strcmp(peer.claim.name, claim->name) == 0 && peer.claim.kind == claim->kind)
        return P2P_OK;
    return apply(identity, change_claim, &c);
}

static enum p2p_err
change_forget(struct p2p_known *known, const struct change *c, bool *changed)
{
    size_t i = p2p_known_index(known, c->id, changed);

    if (!*changed)
        return P2P_ERR_NOT_FOUND;
    p2p_known_remove(known, i);
    return P2P_OK;
}

enum p2p_err
p2p_known_forget(struct p2p_identity *identity, const struct p2p_id *id)
{
    struct change c = {.id = id};

    return apply(identity, change_forget, &c);
}

/* ---- Deciding ---- */

/* Finds the peer that belongs to this place: by the address that was asked for, else by
 * the one that was reached. So the user's decision about a name ("trust ID nas:9000")
 * is enough for all its addresses. */
struct place {
    char asked[P2P_ADDRESS_MAX], reached[P2P_ADDRESS_MAX]; /* canonical; may be empty */
};

static void
take_place(const struct p2p_place *where, struct place *out)
{
    if (!where->asked || !take_address(where->asked, out->asked))
        out->asked[0] = '\0';
    if (!where->reached || !take_address(where->reached, out->reached))
        out->reached[0] = '\0';
}

static const struct p2p_known_peer *
holder_of_place(const struct p2p_known *known, const struct place *place,
                const char **held)
{
    const struct p2p_known_peer *holder = p2p_known_holder_of(known, place->asked);

    *held = holder ? place->asked : place->reached;
    return holder ? holder : p2p_known_holder_of(known, place->reached);
}

static enum p2p_err
decide(const struct p2p_known_peer *peer, const struct p2p_known_peer *holder,
       const struct p2p_id *expected, bool by_user, const struct p2p_id *id)
{
    bool was_met = peer && peer->trust != P2P_TRUST_PENDING;

    if (expected && !p2p_id_equal(expected, id))
        return P2P_ERR_WRONG_PEER;
    if (peer && peer->trust == P2P_TRUST_BLOCKED)
        return P2P_ERR_NOT_ALLOWED;
    if (!holder || holder == peer || (expected && (by_user || was_met)))
        return P2P_OK;
    return P2P_ERR_KEY_CHANGED;
}

static enum p2p_err
change_newcomer(struct p2p_known *known, const struct change *c, bool *changed)
{
    struct p2p_known_peer *peer;

    /* A peer that is known already is left unchanged; "trust ID ADDRESS" moves the
     * address. */
    if (p2p_known_peer_of(known, c->id))
        return P2P_OK;
    enum p2p_err err = p2p_known_add(known, c->id, P2P_TRUST_PENDING, &peer);
    if (err)
        return err;
    p2p_known_put_address(peer, c->address);
    *changed = true;
    return P2P_OK;
}

enum p2p_err
p2p_known_check_place(struct p2p_identity *identity, const struct p2p_place *where,
                      const struct p2p_id *expected, bool by_user,
                      const struct p2p_id *id)
{
    struct place place;
    const char *held;

    take_place(where, &place);
    enum p2p_err err = lock_and_load(identity);
    if (!err)
        err = decide(p2p_known_peer_of(&identity->known, id),
                     holder_of_place(&identity->known, &place, &held), expected,
                     by_user, id);
    p2p_unlock(&identity->lock);
    return err;
}

enum p2p_err
p2p_known_note_newcomer(struct p2p_identity *identity, const struct p2p_place *where,
                        const struct p2p_id *id)
{
    struct change c = {.id = id};
    struct place place;
    const char *held = NULL;

    take_place(where, &place);
    enum p2p_err err = lock_and_load(identity);
    if (!err && !holder_of_place(&identity->known, &place, &held))
        err = P2P_ERR_NOT_FOUND;
    p2p_unlock(&identity->lock);
    c.address = held;
    return err ? err : apply(identity, change_newcomer, &c);
}

enum p2p_err
p2p_known_check(struct p2p_identity *identity, const char *address,
                const struct p2p_id *expected, bool by_user, const struct p2p_id *id)
{
    return p2p_known_check_place(identity, &(struct p2p_place){.asked = address},
                                 expected, by_user, id);
}

/* For callers that do not know which id answered. */
static void
explain_unnamed(enum p2p_err err, const char *address, char *out, size_t cap)
{
    if (err == P2P_ERR_KEY_CHANGED)
        snprintf(out, cap,
                 "The key of the peer at %s has changed. Either its owner made a new "
                 "key, or someone else answers in its place. Ask its owner for its id "
                 "(p2p id) and accept it with: p2p peers trust ID %s",
                 address, address);
    else if (err == P2P_ERR_WRONG_PEER)
        snprintf(out, cap, "A different peer answers at %s; nothing was downloaded",
                 address);
    else if (err == P2P_ERR_NOT_ALLOWED)
        snprintf(out, cap,
                 "You blocked the peer at %s. p2p peers --known shows it, p2p peers "
                 "trust ID unblocks it",
                 address);
    else
        snprintf(out, cap, "%s: %s", address, p2p_err_text(err));
}

void
p2p_known_explain(enum p2p_err err, const char *address, const struct p2p_id *id,
                  char *out, size_t cap)
{
    char hex[P2P_ID_HEX_LEN + 1];

    if (id == NULL) {
        explain_unnamed(err, address, out, cap);
        return;
    }
    p2p_hex_format(id->b, sizeof(id->b), hex);
    switch (err) {
    case P2P_ERR_KEY_CHANGED:
        snprintf(out, cap,
                 "The key of the peer at %s has changed. Either its owner made a new "
                 "key, or someone else answers in its place. Ask its owner for its id "
                 "(p2p id); if it is %s, accept it with: p2p peers trust %.16s %s",
                 address, hex, hex, address);
        return;
    case P2P_ERR_WRONG_PEER:
        snprintf(out, cap,
                 "A different peer answers at %s; its id is %s. If you want that peer, "
                 "give: --peer %.16s",
                 address, hex, hex);
        return;
    case P2P_ERR_NOT_ALLOWED:
        snprintf(out, cap,
                 "You blocked the peer %.16s at %s. To unblock it, run: p2p peers "
                 "trust %.16s",
                 hex, address, hex);
        return;
    default:
        snprintf(out, cap, "%s: %s", address, p2p_err_text(err));
    }
}
