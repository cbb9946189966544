/*
 * config - the settings that can be changed at run time (GET and PATCH /api/config). A
 * changed setting is kept in the store and wins over the command line until it is
 * changed again. Thread-safe.
 */
#ifndef P2P_UI_CONFIG_H
#define P2P_UI_CONFIG_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "http/http.h"
#include "http/text/json.h"
#include "p2p/lock.h"
#include "p2p/rate.h"

#define UI_NAME_MAX 63
#define UI_RATE_MAX 512

struct ui_events;
struct ui_options;
struct ui_store;

struct ui_settings {
    char name[UI_NAME_MAX + 1];
    char limit_rate[UI_RATE_MAX]; /* as it was written */
    struct p2p_timetable timetable;
    unsigned connections;
    unsigned max_running;
    bool verify_tree;
};

/* One member of the settings that another room keeps: an object. */
struct ui_config_object {
    const char *key;
    void (*put)(struct http_json_out *o, void *arg); /* with its key */
    /* Checks what a client sent; otherwise answers. */
    bool (*check)(struct http_request *req, const cJSON *value, void *arg);
    /* Stores what was checked; otherwise answers. */
    bool (*keep)(struct http_request *req, const cJSON *value, void *arg);
    void *arg;
};

P2P_MUTEX_KIND(ui_config_lock);
struct ui_config {
    struct ui_config_lock lock;
    struct ui_settings now P2P_GUARDED_BY(ui_config_lock);
    const struct ui_options *opt;
    struct ui_store *store;
    const struct ui_events *events; /* each change is published */
    void (*changed)(void *arg);
    void *changed_arg;
    struct ui_config_object other; /* without a key: there is none */
};

/* From the options, then the store. Borrows the three. */
void ui_config_init(struct ui_config *config, const struct ui_options *opt,
                    struct ui_store *store, const struct ui_events *events);
/* `changed` is called after each change, on the thread of the request. */
void ui_config_on_change(struct ui_config *config, void (*changed)(void *arg),
                         void *arg);
void ui_config_clear(struct ui_config *config);
void ui_config_get(struct ui_config *config, struct ui_settings *out); /* a copy */

/* The options have changed; what was set in the dashboard still wins. */
void ui_config_read_again(struct ui_config *config);

/* The handlers get a struct ui_config. GET: all settings. */
void ui_config_handle_get(struct http_request *req, void *config);
/* PATCH, for the owner: changes settings, all or none of them. */
void ui_config_handle_patch(struct http_request *req, void *config);

#endif
