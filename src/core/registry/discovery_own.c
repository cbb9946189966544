/* Looks at what registries list for this device's own identity. */
#include <cjson/cJSON.h>
#include <string.h>

#include "core/registry/discovery_internal.h"
#include "p2p/bytes.h"
#include "p2p/lock.h"

struct look {
    struct p2p_discovery *d;
    const struct p2p_own_place *own;
    struct p2p_addr *at;
    bool found;
};

static bool
is_own_host(const struct p2p_own_place *own, const char *host)
{
    for (size_t i = 0; i < own->count; i++)
        if (strcmp(own->at[i].host, host) == 0)
            return true;
    return false;
}

static bool
is_own_port(const struct p2p_own_place *own, uint64_t port)
{
    bool is_own = port == own->port;

    for (size_t i = 0; i < own->count; i++)
        is_own = is_own || port == own->at[i].port;
    return is_own;
}

/* An address of the record's machine that is none of this one. The address that the
 * registry sees proves nothing: behind a router, it is the router's. */
static bool
has_foreign_address(const struct p2p_own_place *own, const cJSON *list,
                    struct p2p_addr *at)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        const char *text = cJSON_GetStringValue(item);
        if (text != NULL && p2p_addr_parse(text, 0, at) == P2P_OK &&
            !is_own_host(own, at->host))
            return true;
    }
    return false;
}

/* The record is newer than our last one. p2p-ui registers this device, too, from the
 * same machine with the same port: that is no other device. */
static enum p2p_err
visit(void *arg, size_t registry, const cJSON *json)
{
    struct look *look = arg;
    const char *ip = p2p_json_text(json, "ip");
    uint64_t seq, port, told;
    struct p2p_addr at;

    p2p_lock(&look->d->lock);
    told = look->d->at[registry].told_seq;
    p2p_unlock(&look->d->lock);
    if (told == 0 || !p2p_json_u64(json, "seq", UINT64_MAX, &seq) || seq <= told ||
        !p2p_json_u64(json, "port", 65535, &port) || ip == NULL ||
        p2p_addr_make(ip, (uint16_t)port, &at) != P2P_OK)
        return P2P_OK;
    if (is_own_port(look->own, port) &&
        !has_foreign_address(look->own,
                             cJSON_GetObjectItemCaseSensitive(json, "addresses"), &at))
        return P2P_OK;
    look->found = true;
    *look->at = at;
    return P2P_OK;
}

bool
p2p_discovery_find_copy(struct p2p_discovery *d, const struct p2p_id *id,
                        const struct p2p_own_place *own, struct p2p_addr *at)
{
    struct look look = {.d = d, .own = own, .at = at};
    char hex[P2P_ID_HEX_LEN + 1];

    p2p_hex_format(id->b, sizeof(id->b), hex);
    (void)!p2p_discovery_ask(d, "/peers/%s?names=0", hex, 1, visit, &look);
    return look.found;
}
