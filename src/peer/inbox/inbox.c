#include "peer/inbox/inbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/limits.h"
#include "p2p/lock.h"
#include "p2p/name.h"
#include "peer/inbox/inbox_file.h"

enum { KEEP_MIN_S = 60, PART_MS = 60000, MINUTE_MS = 60000, ALWAYS_MAX = 1000 };

struct offer {
    TAILQ_ENTRY(offer) link;
    struct inbox_row row;
    bool is_known;
    uint8_t *items; /* owned: as on the wire */
    size_t items_len;
    char *text; /* owned, or NULL */
    /* While its records arrive. */
    unsigned records;
    uint64_t began_ms;
};
TAILQ_HEAD(offers, offer);

P2P_MUTEX_KIND(inbox_rows_lock);
struct inbox {
    enum inbox_from from;
    struct inbox_rows_lock lock;
    struct inbox_file *file P2P_GUARDED_BY(inbox_rows_lock);
    struct offers list P2P_GUARDED_BY(inbox_rows_lock); /* the newest first */
    struct offers parts P2P_GUARDED_BY(inbox_rows_lock);
    unsigned part_count P2P_GUARDED_BY(inbox_rows_lock);
    size_t bytes P2P_GUARDED_BY(inbox_rows_lock); /* of list and parts */
    uint64_t changes P2P_GUARDED_BY(inbox_rows_lock);
    struct p2p_id always[ALWAYS_MAX] P2P_GUARDED_BY(inbox_rows_lock);
    size_t always_count P2P_GUARDED_BY(inbox_rows_lock);
    uint64_t minute_ms P2P_GUARDED_BY(inbox_rows_lock); /* when it began */
    unsigned strangers P2P_GUARDED_BY(inbox_rows_lock); /* new offers since then */
};

/* ---- life ---- */

static size_t
size_of(const struct offer *o)
{
    return sizeof(*o) + o->items_len + (o->text != NULL ? strlen(o->text) : 0);
}

static void
free_offer(struct offer *o)
{
    if (o == NULL)
        return;
    free(o->items);
    free(o->text);
    free(o);
}

static void
load_offer(void *arg, const struct inbox_record *r)
{
    struct inbox *box = arg;
    struct offer *o = calloc(1, sizeof(*o));

    if (o == NULL)
        return;
    o->row = r->row;
    o->is_known = r->is_known;
    if (r->items_len > 0 && (o->items = malloc(r->items_len)) != NULL) {
        memcpy(o->items, r->items, r->items_len);
        o->items_len = r->items_len;
    }
    if (r->text != NULL && r->text[0] != '\0')
        o->text = strdup(r->text);
    if (r->items_len > 0 && o->items == NULL) {
        free_offer(o);
        return;
    }
    p2p_mutex_unshared(&box->lock);
    TAILQ_INSERT_HEAD(&box->list, o, link);
    box->bytes += size_of(o);
}

static void
load_always(void *arg, const struct p2p_id *peer)
{
    struct inbox *box = arg;

    p2p_mutex_unshared(&box->lock);
    if (box->always_count < ALWAYS_MAX)
        box->always[box->always_count++] = *peer;
}

enum p2p_err
inbox_open(const char *keys_dir, enum inbox_from from, struct inbox **out)
{
    struct inbox *box = calloc(1, sizeof(*box));
    const struct inbox_reader reader = {load_offer, load_always, box};

    *out = box;
    if (box == NULL)
        return P2P_ERR_NOMEM;
    box->from = from;
    p2p_mutex_init(&box->lock);
    p2p_mutex_unshared(&box->lock);
    TAILQ_INIT(&box->list);
    TAILQ_INIT(&box->parts);
    if (keys_dir != NULL)
        inbox_file_open(keys_dir, &reader, &box->file);
    return P2P_OK;
}

static void
free_all(struct offers *list)
{
    struct offer *o;

    while ((o = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, o, link);
        free_offer(o);
    }
}

void
inbox_close(struct inbox *box)
{
    if (box == NULL)
        return;
    p2p_mutex_unshared(&box->lock);
    free_all(&box->list);
    free_all(&box->parts);
    inbox_file_close(box->file);
    p2p_mutex_clear(&box->lock);
    free(box);
}

/* ---- rows that end ---- */

static void
remove_row(struct inbox *box, struct offer *o) P2P_REQUIRES(inbox_rows_lock)
{
    TAILQ_REMOVE(&box->list, o, link);
    box->bytes -= size_of(o);
    box->changes++;
    inbox_file_remove(box->file, o->row.id, &o->row.peer);
    free_offer(o);
}

static void
drop_part(struct inbox *box, struct offer *o) P2P_REQUIRES(inbox_rows_lock)
{
    TAILQ_REMOVE(&box->parts, o, link);
    box->part_count--;
    box->bytes -= size_of(o);
    free_offer(o);
}

/* An offer that was accepted and not claimed yet still waits for its download. */
static bool
waits(const struct offer *o)
{
    return o->row.state == P2P_OFFER_SHOWN ||
           (o->row.state == P2P_OFFER_ACCEPTED && !o->row.is_taken);
}

static void
sweep(struct inbox *box) P2P_REQUIRES(inbox_rows_lock)
{
    uint64_t now_s = p2p_time_s(), now_ms = p2p_now_ms();
    unsigned ended = 0;
    struct offer *o, *next;

    for (o = TAILQ_FIRST(&box->list); o != NULL; o = next) {
        next = TAILQ_NEXT(o, link);
        ended += !waits(o);
        if (o->row.expires_s <= now_s || (!waits(o) && ended > INBOX_ENDED_MAX))
            remove_row(box, o);
    }
    for (o = TAILQ_FIRST(&box->parts); o != NULL; o = next) {
        next = TAILQ_NEXT(o, link);
        if (now_ms - o->began_ms > PART_MS)
            drop_part(box, o);
    }
}

/* ---- what arrives ---- */

/* Text for people: valid UTF-8 without control characters, except for new lines and
 * tabs. */
static bool
is_text(struct p2p_text text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if ((c < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7f)
            return false;
    }
    return p2p_utf8_is_valid(text.at, text.len);
}

static bool
check_items(const struct p2p_msg_offer *record, uint64_t *size)
{
    struct p2p_rd items = record->items;
    struct p2p_offer_item item;

    *size = 0;
    for (unsigned i = 0; i < record->count; i++) {
        p2p_msg_get_offer_item(&items, &item);
        if (item.size > P2P_FILE_SIZE_MAX || *size > P2P_FILE_SIZE_MAX ||
            p2p_name_check(item.name.at, item.name.len, true) != P2P_OK)
            return false;
        *size += item.size;
    }
    return true;
}

static struct offer *
find_in(struct offers *list, const uint8_t id[P2P_OFFER_ID_LEN],
        const struct p2p_id *peer)
{
    struct offer *o;

    TAILQ_FOREACH(o, list, link)
    {
        if (memcmp(o->row.id, id, P2P_OFFER_ID_LEN) == 0 &&
            (peer == NULL || p2p_id_equal(&o->row.peer, peer)))
            return o;
    }
    return NULL;
}

static bool
is_always(struct inbox *box, const struct p2p_id *peer) P2P_REQUIRES(inbox_rows_lock)
{
    for (size_t i = 0; i < box->always_count; i++)
        if (p2p_id_equal(&box->always[i], peer))
            return true;
    return false;
}

/* May this sender have one more offer here? */
static bool
has_room(struct inbox *box, const struct inbox_sender *sender)
    P2P_REQUIRES(inbox_rows_lock)
{
    unsigned waiting = 0, own = 0, strangers = 0;
    struct offer *o;

    TAILQ_FOREACH(o, &box->list, link)
    {
        if (!waits(o))
            continue;
        waiting++;
        own += p2p_id_equal(&o->row.peer, &sender->id);
        strangers += !o->is_known;
    }
    if (box->from == INBOX_FROM_NONE ||
        (box->from == INBOX_FROM_KNOWN && !sender->is_known) ||
        waiting >= INBOX_WAITING_MAX || own >= INBOX_PER_SENDER_MAX)
        return false;
    if (sender->is_known)
        return true;
    if (p2p_now_ms() - box->minute_ms > MINUTE_MS) {
        box->minute_ms = p2p_now_ms();
        box->strangers = 0;
    }
    return strangers < INBOX_STRANGERS_MAX && box->strangers < INBOX_STRANGER_RATE;
}

static struct offer *
begin(struct inbox *box, const struct inbox_sender *sender,
      const struct p2p_msg_offer *record) P2P_REQUIRES(inbox_rows_lock)
{
    struct offer *o = NULL;
    uint64_t now_s = p2p_time_s();

    if (!has_room(box, sender) || (o = calloc(1, sizeof(*o))) == NULL)
        return NULL;
    if (box->part_count >= INBOX_PARTS_MAX)
        drop_part(box, TAILQ_FIRST(&box->parts));
    box->strangers += !sender->is_known;
    memcpy(o->row.id, record->id, sizeof(o->row.id));
    o->row.peer = sender->id;
    snprintf(o->row.name, sizeof(o->row.name), "%s", sender->name);
    o->is_known = sender->is_known;
    o->row.received_s = now_s;
    o->row.expires_s = record->expires_s < now_s + KEEP_MIN_S ? now_s + KEEP_MIN_S
                       : record->expires_s > now_s + INBOX_KEEP_MAX_S
                           ? now_s + INBOX_KEEP_MAX_S
                           : record->expires_s;
    o->began_ms = p2p_now_ms();
    box->bytes += size_of(o);
    TAILQ_INSERT_TAIL(&box->parts, o, link);
    box->part_count++;
    return o;
}

/* False: too much, or no memory. */
static bool
append(struct inbox *box, struct offer *o, const struct p2p_msg_offer *record,
       uint64_t size) P2P_REQUIRES(inbox_rows_lock)
{
    size_t most = o->is_known ? INBOX_OFFER_BYTES : INBOX_STRANGER_BYTES;
    size_t more = record->items.left, text = record->text.len;
    uint8_t *items;

    if (o->records >= P2P_OFFER_RECORDS_MAX ||
        o->row.count + record->count > P2P_OFFER_ITEMS_MAX ||
        o->items_len + more > most || box->bytes + more + text > INBOX_BYTES_MAX)
        return false;
    if (more > 0) {
        if ((items = realloc(o->items, o->items_len + more)) == NULL)
            return false;
        memcpy(items + o->items_len, record->items.at, more);
        o->items = items;
        o->items_len += more;
        box->bytes += more;
    }
    if (text > 0 && o->text == NULL) {
        if ((o->text = strndup(record->text.at, text)) == NULL)
            return false;
        box->bytes += strlen(o->text);
    }
    o->records++;
    o->row.count += record->count;
    o->row.size += size;
    return true;
}

/* All records are here. */
static void
complete(struct inbox *box, struct offer *o) P2P_REQUIRES(inbox_rows_lock)
{
    struct inbox_record record;

    TAILQ_REMOVE(&box->parts, o, link);
    box->part_count--;
    if (is_always(box, &o->row.peer))
        o->row.state = P2P_OFFER_ACCEPTED;
    TAILQ_INSERT_HEAD(&box->list, o, link);
    box->changes++;
    record = (struct inbox_record){.row = o->row,
                                   .is_known = o->is_known,
                                   .items = o->items,
                                   .items_len = o->items_len,
                                   .text = o->text};
    inbox_file_add(box->file, &record);
}

static enum p2p_offer_state
take(struct inbox *box, const struct inbox_sender *sender,
     const struct p2p_msg_offer *record, uint64_t size) P2P_REQUIRES(inbox_rows_lock)
{
    struct offer *o = find_in(&box->list, record->id, &sender->id);

    if (o != NULL)
        return o->row.state;
    if ((o = find_in(&box->parts, record->id, &sender->id)) == NULL &&
        (o = begin(box, sender, record)) == NULL)
        return P2P_OFFER_REFUSED;
    if (!append(box, o, record, size)) {
        drop_part(box, o);
        return P2P_OFFER_REFUSED;
    }
    if ((record->flags & P2P_OFFER_MORE) == 0) {
        if (o->row.count == 0 && o->text == NULL) {
            drop_part(box, o);
            return P2P_OFFER_REFUSED; /* nothing is offered */
        }
        complete(box, o);
    }
    return o->row.state;
}

enum p2p_err
inbox_take(struct inbox *box, const struct inbox_sender *sender,
           const struct p2p_msg_offer *record, enum p2p_offer_state *state)
{
    uint64_t size;

    *state = P2P_OFFER_REFUSED;
    if (!check_items(record, &size) || !is_text(record->text))
        return P2P_ERR_MALFORMED;
    p2p_lock(&box->lock);
    sweep(box);
    *state = take(box, sender, record, size);
    p2p_unlock(&box->lock);
    return P2P_OK;
}

/* ---- for the user ---- */

enum p2p_err
inbox_list(struct inbox *box, struct inbox_row **rows, size_t *count)
{
    size_t n = 0;
    struct offer *o;

    *count = 0;
    p2p_lock(&box->lock);
    sweep(box);
    TAILQ_FOREACH(o, &box->list, link)
    {
        n++;
    }
    if ((*rows = calloc(n + 1, sizeof(**rows))) != NULL) {
        TAILQ_FOREACH(o, &box->list, link)
        {
            (*rows)[(*count)++] = o->row;
        }
    }
    p2p_unlock(&box->lock);
    return *rows != NULL ? P2P_OK : P2P_ERR_NOMEM;
}

uint64_t
inbox_changes(struct inbox *box)
{
    p2p_lock(&box->lock);
    sweep(box);
    uint64_t changes = box->changes;
    p2p_unlock(&box->lock);
    return changes;
}

static void
visit_items(const struct offer *o, uint32_t first, uint32_t max,
            void (*visit)(void *arg, const struct p2p_offer_item *), void *arg)
{
    struct p2p_rd rd;

    p2p_rd_init(&rd, o->items, o->items_len);
    for (uint32_t i = 0; i < o->row.count && !rd.failed; i++) {
        struct p2p_offer_item item;
        p2p_msg_get_offer_item(&rd, &item);
        if (!rd.failed && i >= first && i - first < max)
            visit(arg, &item);
    }
}

enum p2p_err
inbox_items(struct inbox *box, const uint8_t id[P2P_OFFER_ID_LEN], uint32_t first,
            uint32_t max, void (*visit)(void *arg, const struct p2p_offer_item *),
            void *arg, char **text)
{
    struct offer *o;

    *text = NULL;
    p2p_lock(&box->lock);
    if ((o = find_in(&box->list, id, NULL)) != NULL) {
        visit_items(o, first, max, visit, arg);
        if (o->text != NULL)
            *text = strdup(o->text);
    }
    p2p_unlock(&box->lock);
    return o != NULL ? P2P_OK : P2P_ERR_NOT_FOUND;
}

enum p2p_err
inbox_answer(struct inbox *box, const uint8_t id[P2P_OFFER_ID_LEN],
             enum p2p_offer_state state)
{
    enum p2p_err err = P2P_ERR_NOT_FOUND;
    struct offer *o;

    p2p_lock(&box->lock);
    sweep(box);
    if ((o = find_in(&box->list, id, NULL)) != NULL)
        err = o->row.state == P2P_OFFER_ACCEPTED && state != P2P_OFFER_ACCEPTED
                  ? P2P_ERR_USAGE
                  : P2P_OK;
    if (err == P2P_OK && o->row.state != state) {
        o->row.state = state;
        box->changes++;
        inbox_file_change(box->file, &o->row);
    }
    p2p_unlock(&box->lock);
    return err;
}

enum p2p_err
inbox_claim(struct inbox *box, const uint8_t id[P2P_OFFER_ID_LEN])
{
    enum p2p_err err = P2P_ERR_NOT_FOUND;
    struct offer *o;

    p2p_lock(&box->lock);
    if ((o = find_in(&box->list, id, NULL)) != NULL)
        err = o->row.state != P2P_OFFER_ACCEPTED ? P2P_ERR_USAGE
              : o->row.is_taken                  ? P2P_ERR_EXISTS
                                                 : P2P_OK;
    if (err == P2P_OK) {
        o->row.is_taken = true;
        box->changes++;
        inbox_file_change(box->file, &o->row);
    }
    p2p_unlock(&box->lock);
    return err;
}

enum p2p_err
inbox_set_always(struct inbox *box, const struct p2p_id *peer, bool always)
{
    enum p2p_err err = P2P_OK;
    size_t kept = 0;

    p2p_lock(&box->lock);
    for (size_t i = 0; i < box->always_count; i++)
        if (!p2p_id_equal(&box->always[i], peer))
            box->always[kept++] = box->always[i];
    box->always_count = kept;
    if (always && box->always_count == ALWAYS_MAX)
        err = P2P_ERR_TOO_LARGE;
    else if (always)
        box->always[box->always_count++] = *peer;
    if (err == P2P_OK)
        inbox_file_always(box->file, peer, always);
    box->changes++;
    p2p_unlock(&box->lock);
    return err;
}

bool
inbox_is_always(struct inbox *box, const struct p2p_id *peer)
{
    p2p_lock(&box->lock);
    bool always = is_always(box, peer);
    p2p_unlock(&box->lock);
    return always;
}
