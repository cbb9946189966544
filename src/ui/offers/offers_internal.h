/* offers_internal - the table of what is sent from this dashboard. offers_table.c: the
 * table and the store; offers_files.c: the files of an offer; offers_peer.c: questions
 * to p2p-peer; offers_work.c: what the thread does; offers.c: its beginning and end;
 * offers_api.c: the routes. */
#ifndef P2P_UI_OFFERS_INTERNAL_H
#define P2P_UI_OFFERS_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>

#include "p2p/conn.h"
#include "p2p/devices.h"
#include "p2p/lock.h"
#include "ui/offers/offers.h"

struct cJSON;
struct ui_listing;

#define UI_OFFER_ID_LEN (2 * P2P_OFFER_ID_LEN)

enum ui_offer_state {
    UI_OFFER_PREPARING, /* its files are not hashed yet */
    UI_OFFER_WAITING,   /* the other side has not decided, or was not reached yet */
    UI_OFFER_ACCEPTED,
    UI_OFFER_DECLINED,
    UI_OFFER_REFUSED,     /* the other side takes none */
    UI_OFFER_UNSUPPORTED, /* its program is too old */
    UI_OFFER_STATES
};
/* "preparing", "waiting", ...: as in docs/openapi.yaml. */
const char *ui_offer_state_name(enum ui_offer_state state);

/* Copies of it are handed out, so that nobody works under the lock. */
struct ui_offer {
    char id[UI_OFFER_ID_LEN + 1];
    char to_device[P2P_DEVICE_ID_LEN + 1]; /* a paired browser; "": see below */
    struct p2p_id to; /* with `is_peer`; else it is for the owner */
    bool is_peer;
    char from[P2P_DEVICE_ID_LEN + 1]; /* the browser that sends it; "": the owner's */
    char from_name[P2P_DEVICE_NAME_MAX + 1];
    enum ui_offer_state state;
    uint64_t created_s, expires_s;
    char *names; /* owned: JSON array of names in the shared folders */
    char *text;  /* owned; may be NULL */
    /* For the thread alone. */
    bool is_open; /* p2p-peer gives its files */
    uint64_t renewed_ms, due_ms;
};

P2P_MUTEX_KIND(ui_offers_lock);
struct ui_offers {
    struct ui_offers_parts parts;
    struct ui_offers_lock lock;
    pthread_cond_t woken;
    pthread_t thread;
    bool has_thread;
    bool is_stopping P2P_GUARDED_BY(ui_offers_lock);
    bool is_kicked P2P_GUARDED_BY(ui_offers_lock);
    struct ui_offer *at[UI_OFFERS_MAX] P2P_GUARDED_BY(ui_offers_lock);
    size_t count P2P_GUARDED_BY(ui_offers_lock);
    uint64_t seen; /* changes of the inbox; the thread's */
};

/* ---- offers_table.c ---- */

/* Reads what the store has; before the thread runs. */
void ui_offers_load(struct ui_offers *os);
void ui_offer_clear(struct ui_offer *offer); /* its members */
/* Copies all; *returns owned* array, free with ui_offers_free_copies. NULL: no memory.
 */
struct ui_offer *ui_offers_copy(struct ui_offers *os, size_t *count);
void ui_offers_free_copies(struct ui_offer *copies, size_t count);
/* Takes the offer's members. TOO_LARGE: there are too many. */
P2P_MUST_CHECK enum p2p_err ui_offers_add(struct ui_offers *os, struct ui_offer *offer);
/* False: it is gone. Tells the pages. */
bool ui_offers_set_state(struct ui_offers *os, const char *id,
                         enum ui_offer_state state);
/* What the thread notes for itself. */
void ui_offers_note(struct ui_offers *os, const struct ui_offer *offer);
bool ui_offers_remove(struct ui_offers *os, const char *id);
/* Wakes the thread. */
void ui_offers_kick(struct ui_offers *os);
/* Tells the pages that there is news. */
void ui_offers_tell(struct ui_offers *os);

/* ---- offers_files.c ---- */

/* The files of an offer, as others see them. */
struct ui_offer_files {
    struct p2p_offer_file *at; /* the names are owned */
    size_t count;
    uint64_t size;
    bool is_ready; /* all are hashed */
};
/* Looks them up in the shared folders. NOT_FOUND: one of the names is not there;
 * TOO_LARGE. Free with ui_offer_files_clear in any case. */
P2P_MUST_CHECK enum p2p_err ui_offer_files_find(struct ui_offers *os, const char *names,
                                                struct ui_offer_files *out);
void ui_offer_files_clear(struct ui_offer_files *files);

/* ---- offers_peer.c ---- */

/* Asks p2p-peer. Blocks for at most five seconds. Takes the request; `*answer` is
 * owned, NULL after an error; `answer` may be NULL. */
P2P_MUST_CHECK enum p2p_err ui_offers_ask(struct ui_offers *os, const char *verb,
                                          struct cJSON *request, struct cJSON **answer);

/* ---- offers_work.c ---- */

/* What the thread does, until `is_stopping`. */
void *ui_offers_main(void *offers);

#endif
