/*
 * meeting_news - registries with one Redis have their boxes in common: a peer reads its
 * box at one of them, and a caller finds it at each. Does nothing without Redis. Safe
 * from any thread.
 */
#ifndef P2P_DISCOVERY_MEETING_NEWS_H
#define P2P_DISCOVERY_MEETING_NEWS_H

#include "discovery/meet/trials.h"

struct app;

/* Somebody reads this box here. Others are told from time to time. */
void meeting_tell_open(struct app *app, const struct box_id *id,
                       const struct box_source *source, bool is_link);
/* A message was accepted here. */
void meeting_tell_message(struct app *app, const struct box_id *id,
                          const struct box_source *source, uint64_t number,
                          const char *text, size_t len);
/* Its reader has ended it here. */
void meeting_tell_drop(struct app *app, const struct box_id *id,
                       const struct box_source *source);
/* A trial has ended here. */
void meeting_tell_trial(struct app *app, const struct trial *trial,
                        enum trial_result result);
/* What another registry tells (store_on_news). */
void meeting_on_news(void *app, const uint8_t *bytes, size_t len);

#endif
