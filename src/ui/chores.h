/*
 * chores - what the watch's thread does (state/watch.h): tells the dashboards what
 * changed, and does work that is due.
 *
 * Only while a page follows the events, it also checks every ten seconds which peers
 * are online, and the state of this machine.
 */
#ifndef P2P_UI_CHORES_H
#define P2P_UI_CHORES_H

#include "ui/state/watch.h"

struct ui_app;
struct ui_chores; /* *returned owned*, free with ui_chores_free */

struct ui_chores *ui_chores_new(struct ui_app *app); /* NULL: out of memory */
void ui_chores_free(struct ui_chores *c);            /* NULL is fine */

/* A ui_watch_work: `chores` is a struct ui_chores. */
uint64_t ui_chores_run(void *chores, const bool news[UI_NEWS]);

#endif
