#include "p2p/link.h"

#include <stdio.h>
#include <string.h>

#include "p2p/base64.h"
#include "p2p/code.h"

static enum p2p_err
derive(const struct p2p_secret *prk, const char *label, struct p2p_secret *out)
{
    return p2p_hkdf_expand(prk, label, strlen(label), out);
}

enum p2p_err
p2p_link_make(struct p2p_link_secret *out)
{
    return p2p_random(out->b, sizeof(out->b));
}

enum p2p_err
p2p_link_derive(const struct p2p_link_secret *secret, struct p2p_link_keys *out)
{
    static const struct p2p_digest salt;
    struct p2p_secret prk, box, guest;
    enum p2p_err err = p2p_hkdf_extract(&salt, secret->b, sizeof(secret->b), &prk);

    memset(out, 0, sizeof(*out));
    if (err == P2P_OK)
        err = derive(&prk, "p2p link box", &box);
    if (err == P2P_OK)
        err = derive(&prk, "p2p link mac", &out->mac);
    if (err == P2P_OK)
        err = derive(&prk, "p2p link guest", &guest);
    if (err == P2P_OK) {
        memcpy(out->box.b, box.b, sizeof(out->box.b));
        memcpy(out->guest.b, guest.b, sizeof(out->guest.b));
    }
    p2p_wipe(&prk, sizeof(prk));
    return err;
}

const char *
p2p_link_format(const struct p2p_link_secret *secret, char out[P2P_LINK_TEXT])
{
    char text[P2P_BASE64_TEXT(sizeof(secret->b))];

    p2p_base64url_format(secret->b, sizeof(secret->b), text);
    memcpy(out, text, P2P_LINK_TEXT);
    return out;
}

enum p2p_err
p2p_link_parse(const char *text, struct p2p_link_secret *out)
{
    return p2p_base64url_parse(text, strlen(text), out->b, sizeof(out->b))
               ? P2P_OK
               : P2P_ERR_USAGE;
}

enum p2p_err
p2p_link_url(const char *registry, const struct p2p_link_secret *secret,
             char out[P2P_LINK_URL])
{
    char text[P2P_LINK_TEXT];
    size_t len = strlen(registry);

    while (len > 0 && registry[len - 1] == '/')
        len--;
    int n = snprintf(out, P2P_LINK_URL, "%.*s/l#%s", (int)len, registry,
                     p2p_link_format(secret, text));
    return n > 0 && n < P2P_LINK_URL ? P2P_OK : P2P_ERR_USAGE;
}

static const char mark[] = "/l#"; /* between the registry and the secret */

bool
p2p_link_is_meant(const char *text)
{
    return strstr(text, mark) != NULL;
}

enum p2p_err
p2p_link_parse_url(const char *text, char *registry, size_t cap,
                   struct p2p_link_secret *out)
{
    const char *at = strstr(text, mark);
    char host[P2P_CODE_REGISTRY_MAX], *path;
    size_t len = at != NULL ? (size_t)(at - text) : 0;

    if (len == 0 || len >= sizeof(host))
        return P2P_ERR_USAGE;
    memcpy(host, text, len);
    host[len] = '\0';
    if ((path = strstr(host, "://")) != NULL && (path = strchr(path + 3, '/')) != NULL)
        *path = '\0'; /* a proxy may have put the registry below one */
    if (p2p_link_parse(at + strlen(mark), out) != P2P_OK ||
        p2p_code_registry_url(host, registry, cap) != P2P_OK || len >= cap)
        return P2P_ERR_USAGE;
    if (path != NULL)
        snprintf(registry, cap, "%.*s", (int)len, text);
    return P2P_OK;
}

enum p2p_err
p2p_guest_id_of(const struct p2p_link_keys *keys, const struct p2p_id *device,
                struct p2p_guest_id *out)
{
    static const char label[] = "p2p link device";
    char info[sizeof(label) + sizeof(device->b)];
    struct p2p_secret whole;
    enum p2p_err err;

    memcpy(info, label, sizeof(label));
    memcpy(info + sizeof(label), device->b, sizeof(device->b));
    err = p2p_hkdf_expand(&keys->mac, info, sizeof(info), &whole);
    memcpy(out->b, whole.b, sizeof(out->b));
    return err;
}

enum p2p_err
p2p_link_pin_of(const struct p2p_link_keys *keys, const char *pin,
                struct p2p_link_pin *out)
{
    char text[128];
    struct p2p_secret whole;
    int n = snprintf(text, sizeof(text), "p2p link pin%s", pin);
    enum p2p_err err = n > 0 && (size_t)n < sizeof(text) ? P2P_OK : P2P_ERR_USAGE;

    memset(out, 0, sizeof(*out));
    if (err == P2P_OK)
        err = p2p_hkdf_expand(&keys->mac, text, (size_t)n, &whole);
    if (err == P2P_OK)
        memcpy(out->b, whole.b, sizeof(out->b));
    p2p_wipe(text, sizeof(text));
    return err;
}
