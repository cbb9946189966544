/* What people call peers: see p2p/names.h. */
#include "p2p/names.h"
#include "p2p/array.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"

enum { CLAIM_DIGITS = 8, ID_DIGITS = 16 };

/* ---- Showing ---- */

const char *
p2p_known_name(const struct p2p_known_peer *known, const struct p2p_about *said)
{
    if (known != NULL && known->name[0] != '\0')
        return known->name;
    if (known != NULL && known->claim.name[0] != '\0')
        return known->claim.name;
    return said != NULL ? said->name : "";
}

const char *
p2p_known_called(const struct p2p_known_peer *known, const struct p2p_id *id,
                 const struct p2p_about *said, char out[P2P_CALLED_MAX])
{
    const char *name = p2p_known_name(known, said);
    bool is_sure = known != NULL &&
                   (name == known->name ||
                    (name == known->claim.name && known->trust == P2P_TRUST_TRUSTED));
    char hex[P2P_ID_HEX_LEN + 1];

    p2p_hex_format(id->b, sizeof(id->b), hex);
    if (name[0] == '\0')
        snprintf(out, P2P_CALLED_MAX, "%.*s...", ID_DIGITS, hex);
    else if (is_sure)
        snprintf(out, P2P_CALLED_MAX, "%s", name);
    else
        snprintf(out, P2P_CALLED_MAX, "%s (%.*s)", name, CLAIM_DIGITS, hex);
    return out;
}

const char *
p2p_peer_called(struct p2p_identity *identity, const struct p2p_id *id,
                const struct p2p_about *said, char out[P2P_CALLED_MAX])
{
    struct p2p_known_peer known;
    bool is_known = p2p_known_find(identity, id, &known) == P2P_OK;

    return p2p_known_called(is_known ? &known : NULL, id, said, out);
}

/* ---- Finding ---- */

void
p2p_names_clear(struct p2p_names *names)
{
    free(names->at);
    *names = (struct p2p_names){0};
}

static enum p2p_err
add(struct p2p_names *names, const struct p2p_id *id, enum p2p_name_claim claim,
    const char *name)
{
    struct p2p_name_entry *entry;

    if (name[0] == '\0')
        return P2P_OK;
    struct p2p_name_entry *more =
        p2p_array_room(names->at, names->count, &names->cap, sizeof(*more));
    if (more == NULL)
        return P2P_ERR_NOMEM;
    names->at = more;
    entry = &names->at[names->count++];
    entry->id = *id;
    entry->claim = claim;
    snprintf(entry->name, sizeof(entry->name), "%s", name);
    return P2P_OK;
}

enum p2p_err
p2p_names_add_known(struct p2p_names *names, struct p2p_identity *identity)
{
    struct p2p_known_peer *known = NULL;
    size_t count = 0;
    enum p2p_err err = p2p_known_list(identity, &known, &count);

    for (size_t i = 0; i < count && err == P2P_OK; i++) {
        enum p2p_name_claim claim =
            known[i].trust == P2P_TRUST_TRUSTED ? P2P_NAME_TRUSTED : P2P_NAME_CLAIMED;
        err = add(names, &known[i].id, P2P_NAME_OWN, known[i].name);
        if (err == P2P_OK)
            err = add(names, &known[i].id, claim, known[i].claim.name);
    }
    free(known);
    return err;
}

enum p2p_err
p2p_names_add_said(struct p2p_names *names, const struct p2p_id *id,
                   const struct p2p_about *said)
{
    return add(names, id, P2P_NAME_CLAIMED, said->name);
}

static bool
is_listed(const struct p2p_names_found *found, const struct p2p_id *id)
{
    for (size_t i = 0; i < found->count && i < P2P_NAMES_SEVERAL; i++)
        if (p2p_id_equal(&found->ids[i], id))
            return true;
    return false;
}

enum p2p_err
p2p_names_find(const struct p2p_names *names, const char *name,
               struct p2p_names_found *out)
{
    *out = (struct p2p_names_found){.claim = P2P_NAME_CLAIMED};
    for (size_t i = 0; i < names->count; i++) {
        const struct p2p_name_entry *entry = &names->at[i];

        if (strcmp(entry->name, name) != 0 || entry->claim > out->claim)
            continue;
        if (entry->claim < out->claim)
            *out = (struct p2p_names_found){.claim = entry->claim};
        if (is_listed(out, &entry->id))
            continue;
        if (out->count < P2P_NAMES_SEVERAL)
            out->ids[out->count] = entry->id;
        out->count++;
    }
    if (out->count == 0)
        return P2P_ERR_NOT_FOUND;
    return out->count == 1 ? P2P_OK : P2P_ERR_AMBIGUOUS;
}
