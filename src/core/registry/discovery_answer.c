/* Checks whether an answer comes from a registry: any web server can answer with status
 * 200. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "core/registry/discovery_internal.h"

static bool
begins_as_object(const struct p2p_http_call *call)
{
    size_t at = 0;

    while (at < call->len && strchr(" \t\r\n", call->answer[at]) != NULL &&
           call->answer[at] != '\0')
        at++;
    return at < call->len && call->answer[at] == '{';
}

static bool
has_message(const struct p2p_http_call *call)
{
    cJSON *json = p2p_json_parse(call->answer, call->len);
    bool has = p2p_json_text(json, "message") != NULL;

    cJSON_Delete(json);
    return has;
}

static bool
is_expected(const struct p2p_http_call *call)
{
    return call->expected == P2P_ANSWER_ANY ||
           (begins_as_object(call) &&
            (call->expected != P2P_ANSWER_MESSAGE || has_message(call)));
}

static void
describe(const struct p2p_http_call *call, char *detail, size_t cap)
{
    snprintf(detail, cap, "status %ld%s%s%s", call->status,
             call->type[0] != '\0' ? " (" : "", call->type,
             call->type[0] != '\0' ? ")" : "");
}

/* Messages of TLS libraries about bytes that are not TLS. */
static bool
is_plain_http(const char *reason)
{
    return strstr(reason, "wrong version number") != NULL ||
           strstr(reason, "nexpected TLS packet") != NULL ||
           strstr(reason, "packet length too long") != NULL;
}

static enum p2p_err
judge_connection(const struct p2p_http_call *call, char *detail, size_t cap)
{
    if (call->err == P2P_ERR_TLS && is_plain_http(call->where))
        snprintf(detail, cap, "it does not use HTTPS; begin its URL with http://");
    else if (call->err == P2P_ERR_TLS || call->err == P2P_ERR_AUTH)
        snprintf(detail, cap, "%s", call->where);
    else if (call->err == P2P_ERR_NOT_REGISTRY)
        snprintf(detail, cap,
                 "it does not use HTTP; its URL may have to begin with https://");
    return call->err;
}

enum p2p_err
p2p_answer_judge(const struct p2p_http_call *call, char *detail, size_t cap)
{
    enum p2p_err err = p2p_http_status_err(call->status);

    detail[0] = '\0';
    if (call->err != P2P_OK)
        return judge_connection(call, detail, cap);
    if (err == P2P_OK) {
        if (is_expected(call))
            return P2P_OK;
        describe(call, detail, cap);
        return P2P_ERR_NOT_REGISTRY;
    }
    if (err == P2P_ERR_MOVED && call->where[0] != '\0') {
        snprintf(detail, cap, "to %s", call->where);
        return err;
    }
    p2p_json_detail(call->answer, call->len, detail, cap);
    if (detail[0] != '\0')
        return err;
    describe(call, detail, cap);
    /* A registry reports an unknown peer in JSON. */
    if (call->expected != P2P_ANSWER_ANY && call->status == 404 && call->len > 0 &&
        !begins_as_object(call))
        return P2P_ERR_NOT_REGISTRY;
    return err;
}
