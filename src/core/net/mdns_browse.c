/* Finds peers with Avahi. Each search uses a client of its own. */
#ifdef P2P_WITH_AVAHI

#include <avahi-client/client.h>
#include <avahi-client/lookup.h>
#include <avahi-common/error.h>
#include <avahi-common/malloc.h>
#include <avahi-common/simple-watch.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/mdns.h"

enum { RESOLVERS_MAX = 1024 };

struct browse {
    AvahiSimplePoll *poll;
    struct p2p_mdns_peer *out;
    size_t max, count;
    unsigned started, pending; /* look-ups of addresses */
    bool all_listed, failed;
};

/* The value of `key` in the TXT record, text without NUL; false when there is none. */
static bool
take_txt(AvahiStringList *txt, const char *key, char *out, size_t cap)
{
    AvahiStringList *entry = avahi_string_list_find(txt, key);
    char *name = NULL, *value = NULL;
    size_t len = 0;
    bool ok = false;

    out[0] = '\0';
    if (entry == NULL || avahi_string_list_get_pair(entry, &name, &value, &len) != 0)
        return false;
    if (value != NULL && len < cap && memchr(value, '\0', len) == NULL) {
        memcpy(out, value, len);
        out[len] = '\0';
        ok = true;
    }
    avahi_free(name);
    avahi_free(value);
    return ok;
}

static bool
is_showable(const char *text)
{
    size_t len = strlen(text), n;
    uint32_t cp;

    for (; len > 0; text += n, len -= n) {
        n = p2p_utf8_next((const uint8_t *)text, len, &cp);
        if (n == 0 || cp < 0x20 || (cp >= 0x7f && cp < 0xa0) ||
            p2p_utf8_is_invisible(cp))
            return false;
    }
    return true;
}

static bool
take_address(const AvahiAddress *address, AvahiIfIndex interface, uint16_t port,
             struct p2p_addr *out)
{
    char host[P2P_HOST_MAX + 1];
    char scope[IF_NAMESIZE] = "", text[AVAHI_ADDRESS_STR_MAX];
    bool is_link_local = address->proto == AVAHI_PROTO_INET6 &&
                         address->data.ipv6.address[0] == 0xfe &&
                         (address->data.ipv6.address[1] & 0xc0) == 0x80;

    avahi_address_snprint(text, sizeof(text), address);
    if (is_link_local && interface >= 0)
        (void)if_indextoname((unsigned)interface, scope);
    snprintf(host, sizeof(host), "%s%s%s", text, scope[0] != '\0' ? "%" : "", scope);
    return p2p_addr_make(host, port, out) == P2P_OK;
}

/* One entry per peer. An IPv4 address replaces an IPv6 one, which may be link-local. */
static void
add_peer(struct browse *browse, const struct p2p_mdns_peer *peer)
{
    for (size_t i = 0; i < browse->count; i++) {
        if (!p2p_id_equal(&browse->out[i].id, &peer->id))
            continue;
        if (strchr(browse->out[i].addr.host, ':') != NULL &&
            strchr(peer->addr.host, ':') == NULL)
            browse->out[i] = *peer;
        return;
    }
    if (browse->count < browse->max)
        browse->out[browse->count++] = *peer;
}

static void
on_resolved(AvahiServiceResolver *resolver, AvahiIfIndex interface,
            AvahiProtocol protocol, AvahiResolverEvent event, const char *name,
            const char *type, const char *domain, const char *host,
            const AvahiAddress *address, uint16_t port, AvahiStringList *txt,
            AvahiLookupResultFlags flags, void *arg)
{
    struct browse *browse = arg;
    struct p2p_mdns_peer peer = {0};
    char hex[P2P_ID_HEX_LEN + 1], protocols[16];

    (void)protocol, (void)name, (void)type, (void)domain, (void)host, (void)flags;
    avahi_service_resolver_free(resolver);
    browse->pending--;
    if (event != AVAHI_RESOLVER_FOUND || port == 0 ||
        !take_txt(txt, "id", hex, sizeof(hex)) ||
        p2p_hex_parse(hex, peer.id.b, sizeof(peer.id.b)) != P2P_OK)
        return;
    if (take_txt(txt, "proto", protocols, sizeof(protocols))) {
        peer.protocol_1 = strchr(protocols, '1') != NULL;
        peer.protocol_2 = strchr(protocols, '2') != NULL;
    }
    if (!take_txt(txt, "name", peer.name, sizeof(peer.name)) || !is_showable(peer.name))
        peer.name[0] = '\0';
    if (take_address(address, interface, port, &peer.addr))
        add_peer(browse, &peer);
}

static void
on_browsed(AvahiServiceBrowser *browser, AvahiIfIndex interface, AvahiProtocol protocol,
           AvahiBrowserEvent event, const char *name, const char *type,
           const char *domain, AvahiLookupResultFlags flags, void *arg)
{
    struct browse *browse = arg;

    (void)flags;
    if (event == AVAHI_BROWSER_ALL_FOR_NOW)
        browse->all_listed = true;
    else if (event == AVAHI_BROWSER_FAILURE)
        browse->failed = true;
    if (event != AVAHI_BROWSER_NEW || browse->started == RESOLVERS_MAX)
        return;
    /* Its callback frees it, or freeing the client does. */
    if (avahi_service_resolver_new(avahi_service_browser_get_client(browser), interface,
                                   protocol, name, type, domain, AVAHI_PROTO_UNSPEC, 0,
                                   on_resolved, browse) != NULL) {
        browse->started++;
        browse->pending++;
    }
}

static void
on_client(AvahiClient *client, AvahiClientState state, void *arg)
{
    (void)client;
    if (state == AVAHI_CLIENT_FAILURE)
        ((struct browse *)arg)->failed = true;
}

static void
look_around(struct browse *browse, uint64_t deadline_ms)
{
    while (!browse->failed && !(browse->all_listed && browse->pending == 0)) {
        uint64_t now = p2p_now_ms();
        if (now >= deadline_ms ||
            avahi_simple_poll_iterate(browse->poll, (int)(deadline_ms - now)) != 0)
            return;
    }
}

enum p2p_err
p2p_mdns_browse(uint64_t wait_ms, struct p2p_mdns_peer *out, size_t max, size_t *count)
{
    struct browse browse = {.out = out, .max = max};
    AvahiClient *client = NULL;
    AvahiServiceBrowser *browser = NULL;
    int error;

    *count = 0;
    browse.poll = avahi_simple_poll_new();
    if (browse.poll == NULL)
        return P2P_ERR_NOMEM;
    client = avahi_client_new(avahi_simple_poll_get(browse.poll), 0, on_client, &browse,
                              &error);
    if (client != NULL)
        browser =
            avahi_service_browser_new(client, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC,
                                      P2P_MDNS_SERVICE, NULL, 0, on_browsed, &browse);
    if (browser != NULL)
        look_around(&browse, p2p_now_ms() + wait_ms);
    if (client != NULL)
        avahi_client_free(client); /* frees its browsers and resolvers, too */
    avahi_simple_poll_free(browse.poll);
    *count = browse.count;
    return browser != NULL ? P2P_OK : P2P_ERR_UNSUPPORTED;
}

#else
typedef int p2p_mdns_browse_is_not_built_in;
#endif
