/*
 * transfer_store - transfers as rows of the store. The caller has the transfer for
 * itself, or holds the list's lock.
 */
#ifndef P2P_UI_TRANSFER_STORE_H
#define P2P_UI_TRANSFER_STORE_H

#include "ui/state/store.h"
#include "ui/transfers/transfer.h"

/* Writes the row of a transfer, new or changed. */
void ui_store_put_transfer(struct ui_store *s, const struct ui_transfer *t);
/* Removes the row. */
void ui_store_remove_transfer(struct ui_store *s, const char *id);
/* Oldest first; `visit` takes ownership of each one. */
void ui_store_load_transfers(struct ui_store *s,
                             void (*visit)(void *arg, struct ui_transfer *t),
                             void *arg);

#endif
