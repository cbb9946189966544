#include "ui/folders/versions_config.h"

#include <stdio.h>
#include <string.h>

#include "ui/folders/folders.h"
#include "ui/folders/keeping.h"
#include "ui/reply/json.h"
#include "ui/reply/refuse.h"

#define VALUE_MAX 256

/* The names of the settings here, and those of p2p/versions.h. `on` is true or false,
 * all others are text. */
static const struct {
    const char *member, *key, *right;
} settings[] = {
    {"on", "on", "true or false"},
    {"keep", "keep", "AGE:STEP AGE:STEP ... (\"1h:30s 1d:1h 30d:1d 1y:1w\")"},
    {"deleted", "deleted", "a length of time (\"30d\")"},
    {"space", "space", "a part of the free space (\"10%\") or a size (\"20G\")"},
    {"free", "free", "a part of the disk (\"5%\") or a size (\"2G\")"},
    {"min_age", "min-age", "a length of time (\"24h\")"},
    {"copy_max", "copy-max", "a size (\"4M\")"},
    {"history", "history", "\"owner\" or \"readers\""},
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

/* The versions of one of the shared folders; NULL: it has none. */
static struct p2p_versions *
at(const struct ui_folders *folders, size_t i)
{
    return ui_keeping_of(folders, p2p_share_root(p2p_shares_at(folders->shares, i)));
}

static struct p2p_versions *
first(const struct ui_folders *folders)
{
    struct p2p_versions *v = NULL;

    for (size_t i = 0; i < p2p_shares_folders(folders->shares)->count && v == NULL; i++)
        v = at(folders, i);
    return v;
}

/* All folders have the same settings, if nobody has set one of them apart. */
static void
put_settings(struct http_json_out *o, struct p2p_versions *v)
{
    char value[VALUE_MAX];

    for (size_t i = 0; i < SETTINGS; i++) {
        if (p2p_versions_get(v, settings[i].key, value, sizeof(value)) != P2P_OK)
            value[0] = '\0';
        if (i == 0)
            http_json_put_bool(o, settings[i].member, strcmp(value, "yes") == 0);
        else
            http_json_put_string(o, settings[i].member, value);
    }
}

static void
put_space(struct http_json_out *o, const struct ui_folders *folders)
{
    struct p2p_versions_status sum = {.is_on = false}, s;

    for (size_t i = 0; i < p2p_shares_folders(folders->shares)->count; i++) {
        struct p2p_versions *v = at(folders, i);
        if (v == NULL || p2p_versions_status(v, &s) != P2P_OK)
            continue;
        sum.used += s.used;
        sum.base += s.base;
        sum.cap += s.cap;
        sum.is_stopped |= s.is_stopped;
        if (s.oldest_s > 0 && (sum.oldest_s == 0 || s.oldest_s < sum.oldest_s))
            sum.oldest_s = s.oldest_s;
    }
    http_json_put_u64(o, "used", sum.used);
    http_json_put_u64(o, "base", sum.base);
    http_json_put_u64(o, "limit", sum.cap);
    ui_json_number(o, "oldest", sum.oldest_s);
    http_json_put_bool(o, "stopped", sum.is_stopped);
}

static void
put(struct http_json_out *o, void *folders)
{
    struct p2p_versions *v = first(folders);

    if (v == NULL) {
        ui_json_text(o, "versions", NULL);
        return;
    }
    http_json_begin(o, "versions", '{');
    put_settings(o, v);
    put_space(o, folders);
    http_json_end(o, '}');
}

/* The text of a member; NULL: it has another type. */
static const char *
text_of(size_t i, const cJSON *value)
{
    if (i == 0)
        return cJSON_IsBool(value) ? cJSON_IsTrue(value) ? "yes" : "no" : NULL;
    return cJSON_IsString(value) ? value->valuestring : NULL;
}

static size_t
find(const char *member)
{
    size_t i = 0;

    while (i < SETTINGS && strcmp(settings[i].member, member) != 0)
        i++;
    return i;
}

static bool
check(struct http_request *req, const cJSON *value, void *folders)
{
    const cJSON *member;

    if (!cJSON_IsObject(value) || value->child == NULL) {
        ui_fail_value(req, "versions", "an object with settings");
        return false;
    }
    if (first(folders) == NULL) {
        http_fail(req, 409, "no_versions",
                  "no versions are kept: p2p-ui cannot write to the shared folder");
        return false;
    }
    cJSON_ArrayForEach(member, value)
    {
        size_t i = find(member->string);
        const char *text = i < SETTINGS ? text_of(i, member) : NULL;
        if (i == SETTINGS) {
            http_fail(req, 422, "invalid_value", "unknown setting \"versions.%.60s\"",
                      member->string);
            return false;
        }
        if (text == NULL || p2p_versions_check(settings[i].key, text) != P2P_OK) {
            ui_fail_value(req, settings[i].member, settings[i].right);
            return false;
        }
    }
    return true;
}

static bool
keep(struct http_request *req, const cJSON *value, void *arg)
{
    const struct ui_folders *folders = arg;
    const cJSON *member;
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < p2p_shares_folders(folders->shares)->count; i++) {
        struct p2p_versions *v = at(folders, i);
        cJSON_ArrayForEach(member, value)
        {
            size_t n = find(member->string);
            if (v != NULL && n < SETTINGS && err == P2P_OK)
                err = p2p_versions_set(v, settings[n].key, text_of(n, member));
        }
    }
    if (err != P2P_OK)
        ui_fail(req, err, NULL);
    return err == P2P_OK;
}

struct ui_config_object
ui_versions_config(struct ui_folders *folders)
{
    return (struct ui_config_object){
        .key = "versions", .put = put, .check = check, .keep = keep, .arg = folders};
}
