/* The rows of transfers in the store. */
#include "ui/transfers/transfer_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "p2p/sqlite.h"
#include "ui/state/store_sql.h"

/* ---- sources: lines "<id or -> <host:port>" ---- */

static char *
format_sources(const struct ui_transfer *t)
{
    const size_t line = 2 * P2P_DIGEST_LEN + P2P_HOST_MAX + 16;
    char *text = calloc(t->source_count + 1, line), *at = text;

    for (size_t i = 0; i < t->source_count && text != NULL; i++) {
        char id[P2P_ID_HEX_LEN + 1] = "-", address[P2P_HOST_MAX + 16];

        if (t->sources[i].id_known)
            p2p_hex_format(t->sources[i].id.b, sizeof(t->sources[i].id.b), id);
        p2p_addr_format(&t->sources[i].addr, address, sizeof(address));
        at += snprintf(at, line, "%s %s\n", id, address);
    }
    return text;
}

static void
parse_sources(const char *text, struct ui_transfer *t)
{
    struct ui_source found[UI_TRANSFER_SOURCES_MAX];
    size_t count = 0;

    memset(found, 0, sizeof(found));
    while (*text != '\0' && count < UI_TRANSFER_SOURCES_MAX) {
        char id[P2P_ID_HEX_LEN + 1], address[P2P_HOST_MAX + 16];
        struct ui_source *s = &found[count];

        if (sscanf(text, "%64s %269s", id, address) == 2 &&
            p2p_addr_parse(address, 0, &s->addr) == P2P_OK) {
            s->id_known = p2p_hex_parse(id, s->id.b, sizeof(s->id.b)) == P2P_OK;
            count++;
        }
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    if (ui_transfer_set_sources(t, found, count) != P2P_OK)
        p2p_log_error("out of memory while reading the list of transfers");
}

void
ui_store_put_transfer(struct ui_store *s, const struct ui_transfer *t)
{
    char *sources = format_sources(t);
    sqlite3_stmt *stmt = ui_store_begin(s, UI_STORE_PUT_TRANSFER);

    p2p_sqlite_bind_text(stmt, 1, t->id);
    p2p_sqlite_bind_text(stmt, 2, t->filename);
    ui_store_bind_digest(stmt, 3, t->root_known, &t->root);
    p2p_sqlite_bind_text(stmt, 4, sources != NULL ? sources : "");
    ui_store_bind_u64(stmt, 5, t->is_auto);
    ui_store_bind_u64(stmt, 6, t->priority);
    ui_store_bind_u64(stmt, 7, t->place);
    ui_store_bind_u64(stmt, 8, t->limit_rate);
    ui_store_bind_u64(stmt, 9, t->state);
    if (t->size_known)
        ui_store_bind_u64(stmt, 10, t->size);
    ui_store_bind_digest(stmt, 11, t->sha256_known, &t->sha256);
    ui_store_bind_u64(stmt, 12, t->verified);
    p2p_sqlite_bind_text(stmt, 13, t->path);
    ui_store_bind_u64(stmt, 14, t->error);
    p2p_sqlite_bind_text(stmt, 15, t->message);
    ui_store_bind_u64(stmt, 16, t->created_s);
    ui_store_bind_u64(stmt, 17, t->finished_s);
    ui_store_bind_u64(stmt, 18, t->retry_at_s);
    ui_store_bind_u64(stmt, 19, t->attempts);
    p2p_sqlite_bind_text(stmt, 20, t->save_as);
    ui_store_bind_u64(stmt, 21, t->conflict);
    p2p_sqlite_bind_text(stmt, 22, t->works);
    ui_store_write_and_end(s, stmt);
    free(sources);
}

static struct ui_transfer *
read_transfer(sqlite3_stmt *stmt)
{
    struct ui_transfer *t = ui_transfer_new();

    if (t == NULL)
        return NULL;
    ui_store_copy_at(stmt, 0, t->id, sizeof(t->id));
    ui_store_copy_at(stmt, 1, t->filename, sizeof(t->filename));
    t->root_known = ui_store_digest_at(stmt, 2, &t->root);
    parse_sources(ui_store_text_at(stmt, 3), t);
    t->is_auto = ui_store_u64_at(stmt, 4) != 0;
    t->priority = ui_store_u64_at(stmt, 5) <= UI_HIGH
                      ? (enum ui_priority)ui_store_u64_at(stmt, 5)
                      : UI_NORMAL;
    t->place = ui_store_u64_at(stmt, 6);
    t->limit_rate = ui_store_u64_at(stmt, 7);
    t->state = ui_store_u64_at(stmt, 8) < UI_STATES
                   ? (enum ui_state)ui_store_u64_at(stmt, 8)
                   : UI_FAILED;
    t->size_known = sqlite3_column_type(stmt, 9) != SQLITE_NULL;
    t->size = ui_store_u64_at(stmt, 9);
    t->sha256_known = ui_store_digest_at(stmt, 10, &t->sha256);
    t->verified = ui_store_u64_at(stmt, 11);
    ui_store_copy_at(stmt, 12, t->path, sizeof(t->path));
    t->error = (enum p2p_err)ui_store_u64_at(stmt, 13);
    ui_store_copy_at(stmt, 14, t->message, sizeof(t->message));
    t->created_s = ui_store_u64_at(stmt, 15);
    t->finished_s = ui_store_u64_at(stmt, 16);
    t->retry_at_s = ui_store_u64_at(stmt, 17);
    t->attempts = (unsigned)ui_store_u64_at(stmt, 18);
    ui_store_copy_at(stmt, 19, t->save_as, sizeof(t->save_as));
    if (ui_store_u64_at(stmt, 20) >= P2P_CONFLICT_RENAME &&
        ui_store_u64_at(stmt, 20) <= P2P_CONFLICT_SKIP)
        t->conflict = (enum p2p_on_conflict)ui_store_u64_at(stmt, 20);
    ui_store_copy_at(stmt, 21, t->works, sizeof(t->works));
    return t;
}

void
ui_store_load_transfers(struct ui_store *s, void (*visit)(void *, struct ui_transfer *),
                        void *arg)
{
    sqlite3_stmt *stmt = ui_store_begin(s, UI_STORE_LOAD_TRANSFERS);

    while (sqlite3_step(stmt) == SQLITE_ROW) {
        struct ui_transfer *t = read_transfer(stmt);
        if (t != NULL)
            visit(arg, t);
    }
    ui_store_end(s, stmt);
}

void
ui_store_remove_transfer(struct ui_store *s, const char *id)
{
    sqlite3_stmt *stmt = ui_store_begin(s, UI_STORE_REMOVE_TRANSFER);

    p2p_sqlite_bind_text(stmt, 1, id);
    ui_store_write_and_end(s, stmt);
}
