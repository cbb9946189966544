#include "ui/access/local.h"

#include <stdatomic.h>
#include <string.h>

#include "http/guard.h"
#include "p2p/clock.h"
#include "p2p/guardian.h"
#include "p2p/log.h"

/* Values of a connection's note: 0 (not checked yet), PROVEN, or the time in ms when to
 * check again. The check is repeated because a process may stop listening while a
 * browser keeps its connection. */
#define PROVEN         1u
#define ASK_AGAIN_MS   5000u
#define LOG_AT_MOST_MS 60000u

static bool
host_is_loopback(const struct http_request *req)
{
    const char *host = http_header(req, "Host");
    char name[256];

    return host != NULL && http_host_parse(host, name, sizeof(name)) &&
           (strcmp(name, "localhost") == 0 || strcmp(name, "127.0.0.1") == 0 ||
            strcmp(name, "::1") == 0);
}

/* Logged because the owner wants to know why the dashboard asks for a link; limited
 * because a forwarder must not fill the log. */
static void
log_refusal(const char *reason, uint64_t now_ms)
{
    static _Atomic uint64_t next_ms;
    uint64_t due = next_ms;

    if (now_ms < due ||
        !atomic_compare_exchange_strong(&next_ms, &due, now_ms + LOG_AT_MOST_MS))
        return;
    p2p_log_info("a local connection does not count as the owner's: %s; run `p2p ui` "
                 "to open the dashboard",
                 reason);
}

static bool
ask(const struct http_request *req, uint64_t now_ms)
{
    struct sockaddr_storage ours, theirs;
    char reason[P2P_CALLER_REASON_MAX] = "its addresses are unknown";

    if (http_connection_ends(req, &ours, &theirs) &&
        p2p_guardian_caller((const struct sockaddr *)&ours,
                            (const struct sockaddr *)&theirs, reason,
                            sizeof(reason)) == P2P_CALLER_SAME_USER)
        return true;
    log_refusal(reason, now_ms);
    return false;
}

static bool
is_proven(const struct http_request *req)
{
    _Atomic uint64_t *note = http_connection_note(req);
    uint64_t now_ms = p2p_now_ms(), known = *note;

    if (known == PROVEN)
        return true;
    if (known > now_ms)
        return false;
    known = ask(req, now_ms) ? PROVEN : now_ms + ASK_AGAIN_MS;
    *note = known;
    return known == PROVEN;
}

bool
ui_local_is_owner(const struct http_request *req)
{
    return http_client_is_loopback(req) && !http_came_by_trusted_proxy(req) &&
           !http_shows_proxy(req) && host_is_loopback(req) && is_proven(req);
}
