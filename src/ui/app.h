/*
 * app - all parts of p2p-ui in one struct that every handler gets. ui_app_open sets the
 * members and ui_app_close clears them; in between they do not change, so any thread
 * may read them. Each part protects itself against other threads.
 */
#ifndef P2P_UI_APP_H
#define P2P_UI_APP_H

#include <stdbool.h>
#include <stdint.h>

#include "http/http.h"
#include "p2p/discovery.h"
#include "p2p/identity.h"
#include "p2p/reach.h"
#include "ui/access/access.h"
#include "ui/activity.h"
#include "ui/folders/folders.h"
#include "ui/guests.h"
#include "ui/links_api.h"
#include "ui/mirrors_api.h"
#include "ui/peers/peers.h"
#include "ui/state/config.h"
#include "ui/state/events.h"
#include "ui/state/options.h"
#include "ui/transfers/handlers.h"

struct ui_chores;
struct ui_jobs;
struct ui_offers;
struct ui_store;
struct ui_watch;
struct ui_web;

struct ui_app {
    struct ui_options opt;
    int listener;                     /* the parent's, before ui_app_open */
    int pictures;                     /* the socket of the helper, or -1; before, too */
    struct p2p_shares_folders shared; /* those that can be opened; before, too */
    uint64_t started_s;
    struct ui_web *web; /* the dashboard's pages; NULL: none were found */

    struct p2p_identity *identity;
    struct ui_folders folders;
    struct p2p_discovery *discovery;
    struct p2p_reach reach; /* how peers are reached */
    struct ui_access access;

    struct ui_store *store;
    struct ui_config config;
    struct ui_peers *peers;
    struct ui_browse browse;
    struct ui_activity activity;
    struct ui_links_api links;
    struct ui_guests guests;
    struct ui_mirrors mirrors;
    struct ui_transfers *transfers;
    struct ui_transfers_api transfers_api;
    struct ui_offers *offers;
    struct ui_watch *watch;
    struct ui_chores *chores;

    struct http_server *http;
    struct ui_events events;
    struct ui_jobs *jobs;
};

/* Opens all parts in order; on failure, a sentence is printed to stderr. Call
 * ui_app_close in either case. */
P2P_MUST_CHECK enum p2p_err ui_app_open(struct ui_app *app);
void ui_app_close(struct ui_app *app);

#endif
