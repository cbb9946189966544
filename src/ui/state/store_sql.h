/*
 * store_sql - statements on the store, one at a time, for the modules that keep rows of
 * their own in it (transfers/transfer_store.c): begin, bind, step, end.
 */
#ifndef P2P_UI_STORE_SQL_H
#define P2P_UI_STORE_SQL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/crypto.h"
#include "p2p/lock.h"
#include "ui/state/store.h"

enum ui_store_statement {
    UI_STORE_PUT_TRANSFER,
    UI_STORE_REMOVE_TRANSFER,
    UI_STORE_LOAD_TRANSFERS,
    UI_STORE_GET_SETTING,
    UI_STORE_PUT_SETTING,
    UI_STORE_GET_NOTE,
    UI_STORE_PUT_NOTE,
    UI_STORE_REMOVE_NOTE,
    UI_STORE_LOAD_NOTES,
    UI_STORE_STATEMENTS
};

P2P_MUTEX_KIND(ui_store_lock);

/* Takes the store's lock, and ui_store_end releases it. */
sqlite3_stmt *ui_store_begin(struct ui_store *s, enum ui_store_statement which)
    P2P_ACQUIRES(ui_store_lock);
void ui_store_end(struct ui_store *s, sqlite3_stmt *stmt) P2P_RELEASES(ui_store_lock);
/* For statements that return no rows. A failure is logged. */
void ui_store_write_and_end(struct ui_store *s, sqlite3_stmt *stmt)
    P2P_RELEASES(ui_store_lock);

/* Binds a number. */
void ui_store_bind_u64(sqlite3_stmt *stmt, int at, uint64_t value);
/* NULL in the row when it is not known. */
void ui_store_bind_digest(sqlite3_stmt *stmt, int at, bool is_known,
                          const struct p2p_digest *d);

/* Never NULL; valid until the next step. */
const char *ui_store_text_at(sqlite3_stmt *stmt, int at);
void ui_store_copy_at(sqlite3_stmt *stmt, int at, char *out, size_t cap);
/* A negative number is 0. */
uint64_t ui_store_u64_at(sqlite3_stmt *stmt, int at);
/* False: it is not known. */
bool ui_store_digest_at(sqlite3_stmt *stmt, int at, struct p2p_digest *out);

#endif
