#include "ui/state/config.h"

#include <cjson/cJSON.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/limits.h"
#include "ui/reply/json.h"
#include "ui/state/events.h"
#include "ui/state/options.h"
#include "ui/state/store.h"

#define MAX_RUNNING 64

/* ---- each setting from its text; false when the text is wrong ---- */

static bool
set_name(struct ui_settings *s, const char *text)
{
    size_t len = strlen(text);

    if (p2p_about_name_check(text, len) != P2P_OK)
        return false;
    memcpy(s->name, text, len + 1);
    return true;
}

static bool
set_limit_rate(struct ui_settings *s, const char *text)
{
    struct p2p_timetable table;

    if (strlen(text) >= sizeof(s->limit_rate) ||
        p2p_timetable_parse(text, &table) != P2P_OK)
        return false;
    snprintf(s->limit_rate, sizeof(s->limit_rate), "%s", text);
    s->timetable = table;
    return true;
}

static bool
set_number(unsigned *out, const char *text, uint64_t max)
{
    uint64_t value;

    if (p2p_decimal_parse(text, strlen(text), max, &value) != P2P_OK || value == 0)
        return false;
    *out = (unsigned)value;
    return true;
}

static bool
set_connections(struct ui_settings *s, const char *text)
{
    return set_number(&s->connections, text, P2P_DOWNLOAD_CONNECTIONS_MAX);
}

static bool
set_max_running(struct ui_settings *s, const char *text)
{
    return set_number(&s->max_running, text, MAX_RUNNING);
}

static bool
set_verify(struct ui_settings *s, const char *text)
{
    s->verify_tree = strcmp(text, "tree") == 0;
    return s->verify_tree || strcmp(text, "full") == 0;
}

static const struct setting {
    const char *key;
    bool is_number;
    bool (*set)(struct ui_settings *s, const char *text);
    const char *right;
} settings[] = {
    {"name", false, set_name, "1 to 63 bytes of printable text"},
    {"limit_rate", false, set_limit_rate,
     "\"off\", a rate (\"2M\") or a timetable (\"08:00,2M 23:00,off\")"},
    {"connections", true, set_connections, "a whole number from 1 to 16"},
    {"max_running", true, set_max_running, "a whole number from 1 to 64"},
    {"verify", false, set_verify, "\"full\" or \"tree\""},
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

/* ---- life ---- */

static void
set_defaults(struct ui_settings *s, const struct ui_options *opt)
{
    if (!set_name(s, opt->about.name))
        set_name(s, "this machine");
    if (opt->name != NULL) /* it may have changed since the start */
        set_name(s, opt->name);
    set_limit_rate(s, opt->limit_rate);
    set_verify(s, opt->verify);
    s->connections = (unsigned)opt->connections;
    s->max_running = (unsigned)opt->max_running;
}

/* The options, and above them what was set in the dashboard. */
static void
read_settings(const struct ui_options *opt, struct ui_store *store,
              struct ui_settings *s)
{
    char text[UI_RATE_MAX];

    memset(s, 0, sizeof(*s));
    set_defaults(s, opt);
    for (size_t i = 0; i < SETTINGS; i++) {
        ui_store_get_setting(store, settings[i].key, text, sizeof(text));
        if (text[0] != '\0')
            settings[i].set(s, text);
    }
}

void
ui_config_init(struct ui_config *config, const struct ui_options *opt,
               struct ui_store *store, const struct ui_events *events)
{
    memset(config, 0, sizeof(*config));
    p2p_mutex_init(&config->lock);
    config->opt = opt;
    config->store = store;
    config->events = events;
    read_settings(opt, store, &config->now);
}

void
ui_config_on_change(struct ui_config *config, void (*changed)(void *), void *arg)
{
    config->changed = changed;
    config->changed_arg = arg;
}

void
ui_config_clear(struct ui_config *config)
{
    if (config->opt != NULL)
        p2p_mutex_clear(&config->lock);
}

void
ui_config_get(struct ui_config *config, struct ui_settings *out)
{
    p2p_lock(&config->lock);
    *out = config->now;
    p2p_unlock(&config->lock);
}

/* ---- the API ---- */

static void
put_config(struct http_json_out *o, struct ui_config *config)
{
    struct ui_settings s;

    ui_config_get(config, &s);
    ui_json_begin(o, 512);
    http_json_put_string(o, "name", s.name);
    http_json_put_string(o, "limit_rate", s.limit_rate);
    http_json_put_u64(o, "connections", s.connections);
    http_json_put_u64(o, "max_running", s.max_running);
    http_json_put_string(o, "verify", s.verify_tree ? "tree" : "full");
    http_json_put_string(o, "shared_dir", config->opt->shared_dir);
    http_json_put_string(o, "downloads_dir", config->opt->downloads_dir);
    http_json_put_u64(o, "max_upload", config->opt->max_upload);
    if (config->other.key != NULL)
        config->other.put(o, config->other.arg);
}

void
ui_config_handle_get(struct http_request *req, void *arg)
{
    struct http_json_out o;

    put_config(&o, arg);
    ui_json_reply(&o, req, 200);
}

static const struct setting *
find_setting(const char *key)
{
    for (size_t i = 0; i < SETTINGS; i++)
        if (strcmp(settings[i].key, key) == 0)
            return &settings[i];
    return NULL;
}

/* The text form of a JSON value of the right type; false for another type. */
static bool
value_text(const struct setting *setting, const cJSON *value, char *out, size_t cap)
{
    if (setting->is_number) {
        double n = cJSON_IsNumber(value) ? value->valuedouble : -1;
        if (n < 0 || n > 1e9 || n != (double)(uint64_t)n)
            return false;
        snprintf(out, cap, "%llu", (unsigned long long)n);
        return true;
    }
    return cJSON_IsString(value) &&
           snprintf(out, cap, "%s", value->valuestring) < (int)cap;
}

static bool
is_other(const struct ui_config *config, const cJSON *value)
{
    return config->other.key != NULL && strcmp(config->other.key, value->string) == 0;
}

/* Checks all members before any of them takes effect; answers and returns false if one
 * is invalid. */
static bool
apply(struct http_request *req, const struct ui_config *config, const cJSON *body,
      struct ui_settings *s)
{
    const cJSON *value;

    cJSON_ArrayForEach(value, body)
    {
        const struct setting *setting = find_setting(value->string);
        char text[UI_RATE_MAX];

        if (is_other(config, value)) {
            if (!config->other.check(req, value, config->other.arg))
                return false;
            continue;
        }
        if (setting == NULL) {
            http_fail(req, 422, "invalid_value", "unknown setting \"%.60s\"",
                      value->string);
            return false;
        }
        if (!value_text(setting, value, text, sizeof(text)) || !setting->set(s, text)) {
            http_fail(req, 422, "invalid_value", "%s must be %s", setting->key,
                      setting->right);
            return false;
        }
    }
    return true;
}

/* The other room's first: they alone can fail. */
static bool
keep(struct http_request *req, struct ui_config *config, const cJSON *body)
{
    const cJSON *value;

    cJSON_ArrayForEach(value, body)
    {
        if (is_other(config, value) &&
            !config->other.keep(req, value, config->other.arg))
            return false;
    }
    cJSON_ArrayForEach(value, body)
    {
        char text[UI_RATE_MAX];
        if (!is_other(config, value) &&
            value_text(find_setting(value->string), value, text, sizeof(text)))
            ui_store_put_setting(config->store, value->string, text);
    }
    return true;
}

/* Uses the settings from now on. */
static void
use(struct ui_config *config, const struct ui_settings *s)
{
    p2p_lock(&config->lock);
    config->now = *s;
    p2p_unlock(&config->lock);
    if (config->changed != NULL)
        config->changed(config->changed_arg);
}

static void
publish(struct ui_config *config)
{
    struct http_json_out o;

    put_config(&o, config);
    http_json_end(&o, '}');
    ui_event_publish(config->events, "config", &o);
}

void
ui_config_handle_patch(struct http_request *req, void *arg)
{
    struct ui_config *config = arg;
    cJSON *body = http_json(req);
    struct http_json_out o;
    struct ui_settings s;

    if (body == NULL)
        return;
    if (body->child == NULL) {
        http_fail(req, 422, "invalid_value",
                  "the request contains no setting to change");
        return;
    }
    ui_config_get(config, &s);
    if (!apply(req, config, body, &s) || !keep(req, config, body))
        return;
    use(config, &s);
    publish(config);
    put_config(&o, config);
    ui_json_reply(&o, req, 200);
}

void
ui_config_read_again(struct ui_config *config)
{
    struct ui_settings s;

    read_settings(config->opt, config->store, &s);
    use(config, &s);
    publish(config);
}
