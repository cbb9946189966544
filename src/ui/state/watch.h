/*
 * watch - one thread that tells the dashboards about changes and does work that is due.
 * It sleeps until something is reported to it. Only while a page follows the events, it
 * also checks every ten seconds which peers are online, and the state of this machine.
 */
#ifndef P2P_UI_WATCH_H
#define P2P_UI_WATCH_H

#include "p2p/err.h"
#include "ui/folders/listing.h"

struct ui_app;
struct ui_watch;

struct ui_watch *ui_watch_new(struct ui_app *app); /* NULL: out of memory */
P2P_MUST_CHECK enum p2p_err ui_watch_start(struct ui_watch *w);
void
ui_watch_stop(struct ui_watch *w); /* ends the thread; reports are still accepted */
void ui_watch_free(struct ui_watch *w); /* these accept NULL */

/* Never block, may be called under any lock. */
void ui_watch_folder(struct ui_app *app, enum ui_folder folder); /* it changed */
void ui_watch_follower(
    struct ui_app *app); /* a page follows the events now, or other work is due */
void ui_watch_peers(struct ui_app *app); /* look at them now */

#endif
