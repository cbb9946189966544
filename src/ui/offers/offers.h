/*
 * offers - files and texts that people send to each other with their consent: from this
 * dashboard to other devices, from them to this one, and between the browsers that are
 * paired with it.
 *
 * What other devices offer is in the inbox of p2p-peer (control socket). What is sent
 * from here is kept in the store, until it expires. A thread sends it to devices again
 * and again until they decide, lets p2p-peer give them the files meanwhile, and
 * downloads what was accepted here. Thread-safe.
 */
#ifndef P2P_UI_OFFERS_H
#define P2P_UI_OFFERS_H

#include "http/http.h"
#include "p2p/identity.h"

#define UI_OFFERS_MAX      100 /* sent from here, ended ones too */
#define UI_OFFERS_OPEN_MAX 16  /* that other devices have not answered */
#define UI_OFFER_NAMES_MAX 100 /* files and folders in one */
/* The folder for what is dropped on a device: only its owner sees it. */
#define UI_OFFERS_FOLDER "Sent"

struct ui_access;
struct ui_events;
struct ui_folders;
struct ui_jobs;
struct ui_offers; /* *returned owned*, free with ui_offers_free */
struct ui_peers;
struct ui_store;
struct ui_transfers;

/* What it works with; all borrowed. */
struct ui_offers_parts {
    const char *keys_dir; /* of the p2p-peer that is asked */
    struct p2p_identity *identity;
    struct ui_access *access;
    struct ui_folders *folders;
    struct ui_peers *peers;
    struct ui_transfers *transfers;
    struct ui_store *store;
    const struct ui_events *events;
    struct ui_jobs *jobs;
};
/* Loads what the store has, and starts the thread. NULL: out of memory. */
struct ui_offers *ui_offers_new(const struct ui_offers_parts *parts);
/* Ends the thread. The offers stay in the store. */
void ui_offers_free(struct ui_offers *offers);

/* Handlers; `offers` points to a struct ui_offers *. GET /api/offers */
void ui_offers_handle_list(struct http_request *req, void *offers);
/* POST /api/offers */
void ui_offers_handle_send(struct http_request *req, void *offers);
/* POST /api/offers/folder: where files for an offer can be uploaded. */
void ui_offers_handle_folder(struct http_request *req, void *offers);
/* POST /api/offers/{id}/accept */
void ui_offers_handle_accept(struct http_request *req, void *offers);
/* POST /api/offers/{id}/decline */
void ui_offers_handle_decline(struct http_request *req, void *offers);
/* POST /api/offers/{id}/always: accepts it and all later ones of this device. */
void ui_offers_handle_always(struct http_request *req, void *offers);
/* DELETE /api/offers/{id}: takes one back that was sent from here. */
void ui_offers_handle_delete(struct http_request *req, void *offers);

#endif
