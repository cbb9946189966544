#include "ui/access/cookie.h"

#include <stdio.h>

#include "p2p/crypto.h"
#include "p2p/devices.h"
#include "p2p/identity.h"
#include "ui/access/access.h"

/* Cookies are shared between the ports of a host: the peer's id keeps two dashboards on
 * one machine apart. */
#define NAME_FORMAT "p2p_%.16s"
#define NAME_SIZE   40
/* Browsers keep no cookie longer than 400 days. */
#define MAX_AGE_S 34560000
/* The cookie's former name, without the peer's id. */
#define FORMER_NAME "p2p_device"

/* A browser accepts the prefix only over TLS, for the whole host and nothing above it.
 */
static const char *
name_of(const struct ui_access *access, bool is_secure, char out[NAME_SIZE])
{
    snprintf(out, NAME_SIZE, "%s" NAME_FORMAT, is_secure ? "__Host-" : "",
             p2p_identity_id_hex(access->identity));
    return out;
}

void
ui_cookie_set(struct http_request *req, const struct ui_access *access,
              const char *token)
{
    bool is_secure = http_is_secure(req);
    char name[NAME_SIZE], cookie[256];

    snprintf(cookie, sizeof(cookie),
             "%s=%s; HttpOnly; SameSite=Strict; Path=/; Max-Age=%d%s",
             name_of(access, is_secure, name), token, MAX_AGE_S,
             is_secure ? "; Secure" : "");
    http_set_header(req, "Set-Cookie", cookie);
    p2p_wipe(cookie, sizeof(cookie));
}

bool
ui_cookie_find(const struct http_request *req, const struct ui_access *access,
               char *out, size_t cap)
{
    char name[NAME_SIZE];

    return http_cookie(req, name_of(access, true, name), out, cap) ||
           http_cookie(req, name_of(access, false, name), out, cap) ||
           http_cookie(req, FORMER_NAME, out, cap);
}
