#include "ui/reply/refuse.h"

#include <stdio.h>
#include <string.h>

#include "http/text/json.h"
#include "p2p/limits.h"
#include "p2p/path.h"

static const struct {
    enum p2p_err err;
    unsigned status;
    const char *code;
} codes[] = {
    {P2P_ERR_NAME, 400, "bad_name"},
    {P2P_ERR_MALFORMED, 400, "malformed"},
    {P2P_ERR_PERMISSION, 403, "permission"},
    {P2P_ERR_NOT_ALLOWED, 403, "blocked"},
    {P2P_ERR_NOT_FOUND, 404, "not_found"},
    {P2P_ERR_EXISTS, 409, "exists"},
    {P2P_ERR_KEY_CHANGED, 409, "key_changed"},
    {P2P_ERR_WRONG_PEER, 409, "key_changed"},
    {P2P_ERR_TOO_LARGE, 413, "too_large"},
    {P2P_ERR_RATE_LIMITED, 429, "too_many"},
    {P2P_ERR_UNREACHABLE, 503, "peer_offline"},
    {P2P_ERR_TIMEOUT, 503, "peer_offline"},
    {P2P_ERR_CLOSED, 503, "peer_offline"},
    {P2P_ERR_AUTH, 503, "peer_offline"},
    {P2P_ERR_AWAY, 503, "folder_away"},
    {P2P_ERR_DISK_FULL, 507, "disk_full"},
    {P2P_ERR_QUOTA, 507, "quota"},
    {P2P_ERR_NO_INODES, 507, "no_inodes"},
    {P2P_ERR_FILE_TOO_BIG, 413, "file_too_big"},
    {P2P_ERR_DISK_TOO_SMALL, 413, "disk_too_small"},
    {P2P_ERR_READ_ONLY, 403, "read_only"},
    {P2P_ERR_TARGET_NAME, 400, "target_name"},
    {P2P_ERR_IN_THE_WAY, 409, "in_the_way"},
    {P2P_ERR_OTHER_DISK, 409, "other_disk"},
};

void
ui_fail(struct http_request *req, enum p2p_err err, const char *detail)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i].err == err) {
            http_fail(req, codes[i].status, codes[i].code, "%s",
                      detail != NULL ? detail : p2p_err_text(err));
            return;
        }
    http_fail_err(req, err, detail);
}

void
ui_fail_name(struct http_request *req, const char *name, bool allow_folders,
             const char *member)
{
    const char *problem = p2p_name_problem(name, strlen(name), allow_folders);
    char detail[P2P_NAME_MAX + 256], usable[P2P_NAME_MAX + 1];
    bool is_usable =
        p2p_name_usable(name, strlen(name), allow_folders, usable) == P2P_OK;
    struct http_json_out o;
    size_t len;
    char *text;

    snprintf(detail, sizeof(detail), "%s: %s%s%s%s", p2p_err_text(P2P_ERR_NAME),
             problem != NULL ? problem : "the path is too long",
             is_usable ? "; \"" : "", is_usable ? usable : "",
             is_usable ? "\" would work" : "");
    http_json_init(&o, 256);
    http_json_begin(&o, NULL, '{');
    http_json_put_string(&o, "type", "about:blank");
    http_json_put_string(&o, "title", "Bad Request");
    http_json_put_u64(&o, "status", 400);
    http_json_put_string(&o, "detail", detail);
    http_json_put_string(&o, "code", "bad_name");
    http_json_put_string(&o, "error", detail);
    if (problem != NULL)
        http_json_put_string(&o, "reason", problem);
    if (is_usable)
        http_json_put_string(&o, member, usable);
    http_json_end(&o, '}');
    text = http_json_take(&o, &len);
    http_reply_owned(req, 400, "application/problem+json", text, len);
}

bool
ui_check_name(struct http_request *req, const char *name)
{
    if (name != NULL && p2p_name_check(name, strlen(name), true) == P2P_OK)
        return true;
    if (name != NULL)
        ui_fail_name(req, name, true, "suggestion");
    else
        http_fail(req, 400, "bad_name", "%s", p2p_err_text(P2P_ERR_NAME));
    return false;
}

const char *
ui_param_name(struct http_request *req)
{
    const char *name = http_param(req, "filename");

    return ui_check_name(req, name) ? name : NULL;
}

void
ui_fail_value(struct http_request *req, const char *member, const char *right)
{
    http_fail(req, 422, "invalid_value", "%s must be %s", member, right);
}
