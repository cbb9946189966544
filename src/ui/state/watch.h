/*
 * watch - one thread that sleeps until something is reported to it, or until its work
 * is due. What the work is, it does not know (ui/chores.h).
 */
#ifndef P2P_UI_WATCH_H
#define P2P_UI_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "p2p/err.h"

struct ui_watch; /* *returned owned*, free with ui_watch_free */

/* What is reported. */
enum ui_news {
    UI_NEWS_SHARED,    /* the shared folder has changed */
    UI_NEWS_DOWNLOADS, /* the downloads folder has changed */
    UI_NEWS_VERSIONS,  /* old versions came or went */
    UI_NEWS_PEERS,     /* the peers must be checked now */
    UI_NEWS_OTHER,     /* a page follows the events now, or other work is due */
    UI_NEWS
};

/* Does the work, on the watch's thread. `news`: what was reported since the last time.
 * Returns when it is to be called again at the latest (p2p_now_ms). */
typedef uint64_t ui_watch_work(void *arg, const bool news[UI_NEWS]);

struct ui_watch *ui_watch_new(void); /* NULL: out of memory */
/* Starts the thread, which runs `work` each time that it is woken. */
P2P_MUST_CHECK enum p2p_err ui_watch_start(struct ui_watch *w, ui_watch_work *work,
                                           void *arg);
void ui_watch_stop(struct ui_watch *w); /* the thread; reports are still taken */
void ui_watch_free(struct ui_watch *w); /* these accept NULL */

/* Never blocks, may be called under any lock. */
void ui_watch_report(struct ui_watch *w, enum ui_news news);

#endif
