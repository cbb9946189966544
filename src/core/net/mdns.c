/* Announces this peer with Avahi, in a thread that Avahi owns. */
#ifdef P2P_WITH_AVAHI

#include "p2p/mdns.h"

#include <avahi-client/client.h>
#include <avahi-client/publish.h>
#include <avahi-common/alternative.h>
#include <avahi-common/error.h>
#include <avahi-common/malloc.h>
#include <avahi-common/strlst.h>
#include <avahi-common/thread-watch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "p2p/bytes.h"
#include "p2p/log.h"

enum { INSTANCE_DIGITS = 16, COLLISIONS_MAX = 8 };

/* While the poll thread runs, only that thread uses the fields other than `poll`. */
struct p2p_mdns {
    AvahiThreadedPoll *poll;
    AvahiClient *client;
    AvahiEntryGroup *group; /* of client: freed with it */
    AvahiStringList *txt;
    char *instance;
    unsigned collisions;
    uint16_t port;
};

static void add_service(struct p2p_mdns *mdns, AvahiClient *client);

/* Another device has this name: try "<id> #2" and so on, a limited number of times. */
static bool
take_another_name(struct p2p_mdns *mdns)
{
    char *other;

    if (mdns->collisions++ == 0)
        p2p_log_warn("mdns: another device of the local network announces the identity "
                     "of this one (%s): its keys folder may be a copy",
                     mdns->instance);
    if (mdns->collisions > COLLISIONS_MAX)
        return false;
    other = avahi_alternative_service_name(mdns->instance);
    if (other == NULL)
        return false;
    avahi_free(mdns->instance);
    mdns->instance = other;
    return true;
}

static void
on_group(AvahiEntryGroup *group, AvahiEntryGroupState state, void *arg)
{
    struct p2p_mdns *mdns = arg;
    AvahiClient *client = avahi_entry_group_get_client(group);

    mdns->group = group;
    if (state == AVAHI_ENTRY_GROUP_ESTABLISHED) {
        mdns->collisions = 0;
        p2p_log_info("mdns: announced instance=\"%s\"", mdns->instance);
    } else if (state == AVAHI_ENTRY_GROUP_COLLISION && take_another_name(mdns)) {
        avahi_entry_group_reset(group);
        add_service(mdns, client);
    } else if (state == AVAHI_ENTRY_GROUP_COLLISION ||
               state == AVAHI_ENTRY_GROUP_FAILURE) {
        p2p_log_warn("mdns: cannot announce this peer on the local network (%s)",
                     avahi_strerror(avahi_client_errno(client)));
    }
}

static void
add_service(struct p2p_mdns *mdns, AvahiClient *client)
{
    int error;

    if (mdns->group == NULL)
        mdns->group = avahi_entry_group_new(client, on_group, mdns);
    if (mdns->group == NULL || !avahi_entry_group_is_empty(mdns->group))
        return;
    do
        error = avahi_entry_group_add_service_strlst(
            mdns->group, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC, 0, mdns->instance,
            P2P_MDNS_SERVICE, NULL, NULL, mdns->port, mdns->txt);
    while (error == AVAHI_ERR_COLLISION && take_another_name(mdns));
    if (error == AVAHI_OK)
        error = avahi_entry_group_commit(mdns->group);
    if (error != AVAHI_OK)
        p2p_log_warn("mdns: cannot announce this peer on the local network (%s)",
                     avahi_strerror(error));
}

static void on_client(AvahiClient *client, AvahiClientState state, void *arg);

static int
open_client(struct p2p_mdns *mdns)
{
    int error = AVAHI_OK;

    /* NO_FAIL: an Avahi daemon that starts later is found, too. */
    mdns->client = avahi_client_new(avahi_threaded_poll_get(mdns->poll),
                                    AVAHI_CLIENT_NO_FAIL, on_client, mdns, &error);
    return mdns->client != NULL ? AVAHI_OK : error;
}

static void
on_client(AvahiClient *client, AvahiClientState state, void *arg)
{
    struct p2p_mdns *mdns = arg;
    int error;

    switch (state) {
    case AVAHI_CLIENT_S_RUNNING:
        add_service(mdns, client);
        return;
    case AVAHI_CLIENT_S_REGISTERING: /* the host's name is changing */
    case AVAHI_CLIENT_S_COLLISION:
        if (mdns->group != NULL)
            avahi_entry_group_reset(mdns->group);
        return;
    case AVAHI_CLIENT_CONNECTING: /* no daemon yet */
        return;
    case AVAHI_CLIENT_FAILURE:
        break;
    }
    /* The Avahi daemon was restarted: this client and its group cannot be used again.
     */
    error = avahi_client_errno(client);
    avahi_client_free(client);
    mdns->client = NULL;
    mdns->group = NULL;
    if (error == AVAHI_ERR_DISCONNECTED)
        error = open_client(mdns);
    if (error != AVAHI_OK)
        p2p_log_info("mdns: this peer is no longer announced on the local network (%s)",
                     avahi_strerror(error));
}

/* Copies as many whole characters as fit. */
static void
copy_name(const char *name, char out[P2P_MDNS_NAME_MAX + 1])
{
    const uint8_t *at = (const uint8_t *)name;
    size_t used = 0, left = strlen(name), n;
    uint32_t cp;

    while ((n = p2p_utf8_next(at, left, &cp)) > 0 && used + n <= P2P_MDNS_NAME_MAX) {
        memcpy(out + used, at, n);
        used += n;
        at += n;
        left -= n;
    }
    out[used] = '\0';
}

static bool
describe(struct p2p_mdns *mdns, const struct p2p_mdns_announcement *what)
{
    char hex[P2P_ID_HEX_LEN + 1], host[256] = "", name[P2P_MDNS_NAME_MAX + 1];
    char id[sizeof(hex) + 4], shown[sizeof(name) + 8];

    p2p_hex_format(what->id.b, sizeof(what->id.b), hex);
    if (what->name == NULL)
        (void)gethostname(host, sizeof(host) - 1);
    copy_name(what->name != NULL ? what->name : host, name);
    snprintf(id, sizeof(id), "id=%s", hex);
    snprintf(shown, sizeof(shown), "name=%s", name);
    mdns->port = what->port;
    mdns->txt = avahi_string_list_new(id, what->protocol_1 ? "proto=1,2" : "proto=2",
                                      shown, NULL);
    hex[INSTANCE_DIGITS] = '\0';
    mdns->instance = avahi_strdup(hex);
    return mdns->txt != NULL && mdns->instance != NULL;
}

enum p2p_err
p2p_mdns_announce(const struct p2p_mdns_announcement *what, struct p2p_mdns **out)
{
    struct p2p_mdns *mdns = calloc(1, sizeof(*mdns));
    enum p2p_err err = P2P_ERR_NOMEM;

    *out = NULL;
    if (mdns == NULL)
        return err;
    mdns->poll = avahi_threaded_poll_new();
    if (mdns->poll == NULL || !describe(mdns, what))
        goto out;
    err = P2P_ERR_UNSUPPORTED;
    if (open_client(mdns) != AVAHI_OK || avahi_threaded_poll_start(mdns->poll) != 0)
        goto out;
    *out = mdns;
    return P2P_OK;
out:
    p2p_mdns_stop(mdns);
    return err;
}

void
p2p_mdns_stop(struct p2p_mdns *mdns)
{
    if (mdns == NULL)
        return;
    if (mdns->poll != NULL)
        avahi_threaded_poll_stop(mdns->poll); /* ends its thread */
    if (mdns->client != NULL)
        avahi_client_free(mdns->client); /* says goodbye */
    if (mdns->poll != NULL)
        avahi_threaded_poll_free(mdns->poll);
    avahi_string_list_free(mdns->txt);
    avahi_free(mdns->instance);
    free(mdns);
}

#else
/* An empty translation unit is not C. */
typedef int p2p_mdns_is_not_built_in;
#endif
