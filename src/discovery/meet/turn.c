#include "discovery/meet/turn.h"

#include <stdio.h>
#include <string.h>

#include "p2p/addr.h"
#include "p2p/siphash.h"

enum { PORT = 3478, TLS_PORT = 5349 };

static enum p2p_err
put(struct turn *t, const char *scheme, const struct p2p_addr *at, const char *rest)
{
    char text[P2P_HOST_MAX + 9];

    if (t->count == TURN_URLS_MAX)
        return P2P_ERR_TOO_LARGE;
    int n = snprintf(t->urls[t->count], TURN_URL_TEXT, "%s%s%s", scheme,
                     p2p_addr_format(at, text, sizeof(text)), rest);
    if (n <= 0 || n >= TURN_URL_TEXT)
        return P2P_ERR_USAGE;
    t->count++;
    return P2P_OK;
}

enum p2p_err
turn_add(struct turn *t, const char *text)
{
    static const char plain[] = "turn:", tls[] = "turns:";
    bool is_tls = strncmp(text, tls, strlen(tls)) == 0;
    const char *scheme = is_tls                                     ? tls
                         : strncmp(text, plain, strlen(plain)) == 0 ? plain
                                                                    : "";
    const char *host = text + strlen(scheme), *rest = strchr(host, '?');
    size_t len = rest != NULL ? (size_t)(rest - host) : strlen(host);
    char name[P2P_HOST_MAX + 9];
    struct p2p_addr at;
    enum p2p_err err;

    if (len >= sizeof(name) ||
        (rest != NULL && (scheme[0] == '\0' || (strcmp(rest, "?transport=udp") != 0 &&
                                                strcmp(rest, "?transport=tcp") != 0))))
        return P2P_ERR_USAGE;
    memcpy(name, host, len);
    name[len] = '\0';
    if (p2p_addr_parse(name, is_tls ? TLS_PORT : PORT, &at) != P2P_OK)
        return P2P_ERR_USAGE;
    if (scheme[0] != '\0')
        return put(t, scheme, &at, rest != NULL ? rest : "");
    err = put(t, plain, &at, "?transport=udp");
    return err == P2P_OK ? put(t, plain, &at, "?transport=tcp") : err;
}

enum p2p_err
turn_login(const struct turn *t, const struct box_source *source, uint64_t now_s,
           struct p2p_turn_login *out)
{
    char user[17];

    snprintf(user, sizeof(user), "%016llx",
             (unsigned long long)p2p_siphash24(t->seed, source->b, sizeof(source->b)));
    return p2p_turn_login(&t->secret, user, now_s + TURN_LOGIN_S, out);
}
