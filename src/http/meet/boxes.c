#include "http/meet/boxes.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "p2p/crypto.h"
#include "p2p/lock.h"
#include "p2p/siphash.h"

enum { BUCKETS = 16384, SOURCE_BUCKETS = 4096, SWEEP_EVERY_MS = 10000 };

/* What one source has here. It exists as long as it has something. */
struct holder {
    struct holder *next;
    struct box_source key;
    size_t boxes; /* for answers */
    size_t links;
    size_t bytes;
};

struct message {
    TAILQ_ENTRY(message) link;
    uint64_t number, until_ms;
    struct holder *holder;
    bool is_read;
    size_t len;
    char text[];
};
TAILQ_HEAD(message_list, message);

struct box {
    struct box *next;
    struct box_id id;
    struct holder *holder; /* of one for answers; NULL: a peer's */
    uint64_t until_ms, last_number;
    uint64_t tell_ms; /* when other registries are told again */
    uint64_t ends_ms; /* of a code; 0: it is none */
    bool is_link;
    struct message_list messages; /* the oldest first */
    size_t count;
};

P2P_MUTEX_KIND(boxes_lock);
struct boxes {
    struct boxes_limits limits;
    uint64_t seed[2];
    struct boxes_lock lock;
    size_t box_count P2P_GUARDED_BY(boxes_lock);
    size_t bytes P2P_GUARDED_BY(boxes_lock);
    size_t messages P2P_GUARDED_BY(boxes_lock);
    uint64_t posted P2P_GUARDED_BY(boxes_lock);
    uint64_t sweep_at_ms P2P_GUARDED_BY(boxes_lock);
    struct box *at[BUCKETS] P2P_GUARDED_BY(boxes_lock);
    struct holder *holders[SOURCE_BUCKETS] P2P_GUARDED_BY(boxes_lock);
};

enum p2p_err
boxes_new(const struct boxes_limits *limits, struct boxes **out)
{
    struct boxes *b = calloc(1, sizeof(*b));
    enum p2p_err err;

    *out = NULL;
    if (b == NULL)
        return P2P_ERR_NOMEM;
    b->limits = *limits;
    if ((err = p2p_random(b->seed, sizeof(b->seed))) != P2P_OK) {
        free(b);
        return err;
    }
    p2p_mutex_init(&b->lock);
    *out = b;
    return P2P_OK;
}

/* ---- sources ---- */

static struct holder **
holder_place(struct boxes *b, const struct box_source *key) P2P_REQUIRES(boxes_lock)
{
    struct holder **link =
        &b->holders[p2p_siphash13(b->seed, key->b, sizeof(key->b)) % SOURCE_BUCKETS];

    while (*link != NULL && memcmp((*link)->key.b, key->b, sizeof(key->b)) != 0)
        link = &(*link)->next;
    return link;
}

/* NULL: out of memory. */
static struct holder *
get_holder(struct boxes *b, const struct box_source *key) P2P_REQUIRES(boxes_lock)
{
    struct holder **link = holder_place(b, key);

    if (*link == NULL && (*link = calloc(1, sizeof(**link))) != NULL)
        (*link)->key = *key;
    return *link;
}

static void
drop_holder_if_empty(struct boxes *b, struct holder *h) P2P_REQUIRES(boxes_lock)
{
    struct holder **link;

    if (h->boxes > 0 || h->links > 0 || h->bytes > 0)
        return;
    link = holder_place(b, &h->key);
    *link = h->next;
    free(h);
}

/* ---- messages ---- */

static size_t
cost(size_t len)
{
    return sizeof(struct message) + len + 1;
}

static void
remove_message(struct boxes *b, struct box *box, struct message *m)
    P2P_REQUIRES(boxes_lock)
{
    TAILQ_REMOVE(&box->messages, m, link);
    box->count--;
    b->messages--;
    b->bytes -= cost(m->len);
    m->holder->bytes -= cost(m->len);
    drop_holder_if_empty(b, m->holder);
    free(m);
}

static void
expire_messages(struct boxes *b, struct box *box, uint64_t now_ms)
    P2P_REQUIRES(boxes_lock)
{
    struct message *m;

    while ((m = TAILQ_FIRST(&box->messages)) != NULL && m->until_ms <= now_ms)
        remove_message(b, box, m);
}

static size_t
count_of(const struct box *box, const struct holder *h)
{
    const struct message *m;
    size_t count = 0;

    TAILQ_FOREACH(m, &box->messages, link)
    count += m->holder == h;
    return count;
}

/* Chooses the message that is removed to make room for one of this source: a message
 * that was read already, or else the oldest one of the source with the most messages,
 * if that source has more than this one. */
static struct message *
victim_for(struct box *box, const struct holder *h)
{
    struct message *m, *worst = NULL;
    size_t most = count_of(box, h);

    TAILQ_FOREACH(m, &box->messages, link)
    if (m->is_read)
        return m;
    TAILQ_FOREACH(m, &box->messages, link)
    {
        size_t count = count_of(box, m->holder);
        if (count > most) {
            most = count;
            worst = m;
        }
    }
    return worst;
}

/* ---- boxes ---- */

static struct box **
place_of(struct boxes *b, const struct box_id *id) P2P_REQUIRES(boxes_lock)
{
    struct box **link = &b->at[p2p_siphash13(b->seed, id->b, sizeof(id->b)) % BUCKETS];

    while (*link != NULL && ((*link)->id.is_peer != id->is_peer ||
                             memcmp((*link)->id.b, id->b, sizeof(id->b)) != 0))
        link = &(*link)->next;
    return link;
}

static void
remove_box(struct boxes *b, struct box **link) P2P_REQUIRES(boxes_lock)
{
    struct box *box = *link;
    struct message *m;

    while ((m = TAILQ_FIRST(&box->messages)) != NULL)
        remove_message(b, box, m);
    *link = box->next;
    b->box_count--;
    if (box->holder != NULL) {
        (*(box->is_link ? &box->holder->links : &box->holder->boxes))--;
        drop_holder_if_empty(b, box->holder);
    }
    free(box);
}

/* NULL: nobody reads there. */
static struct box *
find_live(struct boxes *b, const struct box_id *id, uint64_t now_ms)
    P2P_REQUIRES(boxes_lock)
{
    struct box **link = place_of(b, id);

    if (*link != NULL && (*link)->until_ms <= now_ms)
        remove_box(b, link);
    else if (*link != NULL)
        expire_messages(b, *link, now_ms);
    return *place_of(b, id);
}

static enum box_result
add_box(struct boxes *b, const struct box_id *id, const struct box_source *source,
        bool is_link, struct box **out) P2P_REQUIRES(boxes_lock)
{
    struct holder *h = id->is_peer ? NULL : get_holder(b, source);
    struct box *box = NULL;
    enum box_result result = BOX_OK;

    if (h != NULL && (is_link ? h->links >= BOXES_LINKS_PER_SOURCE
                              : h->boxes >= BOXES_ANSWERS_PER_SOURCE))
        return BOX_CROWDED;
    if ((!id->is_peer && h == NULL) || b->box_count >= b->limits.max_boxes ||
        (box = calloc(1, sizeof(*box))) == NULL)
        result = BOX_FULL;
    if (result == BOX_OK) {
        struct box **link = place_of(b, id);
        TAILQ_INIT(&box->messages);
        box->id = *id;
        box->holder = h;
        box->is_link = is_link;
        *link = box;
        b->box_count++;
        if (h != NULL)
            (*(is_link ? &h->links : &h->boxes))++;
    } else if (h != NULL) {
        drop_holder_if_empty(b, h);
    }
    *out = box;
    return result;
}

/* Removes everything that is too old, in all boxes. */
static void
sweep(struct boxes *b, uint64_t now_ms) P2P_REQUIRES(boxes_lock)
{
    b->sweep_at_ms = now_ms + SWEEP_EVERY_MS;
    for (size_t i = 0; i < BUCKETS && b->box_count > 0; i++) {
        struct box **link = &b->at[i];
        while (*link != NULL) {
            if ((*link)->until_ms <= now_ms) {
                remove_box(b, link);
            } else {
                expire_messages(b, *link, now_ms);
                link = &(*link)->next;
            }
        }
    }
}

enum box_result
boxes_attend(struct boxes *b, const struct box_id *id, const struct box_source *source,
             uint64_t now_ms)
{
    enum box_result result = BOX_OK;
    struct box *box;

    p2p_lock(&b->lock);
    if (now_ms >= b->sweep_at_ms)
        sweep(b, now_ms);
    if ((box = find_live(b, id, now_ms)) == NULL &&
        (result = add_box(b, id, source, false, &box)) == BOX_OK)
        box->until_ms = now_ms + (id->is_peer ? BOXES_READER_MS : BOXES_ANSWER_MS);
    /* One for answers is not kept alive by reading: it is for one answer. Nor that of a
     * link, by its guests. */
    if (result == BOX_OK && (id->is_peer || box->ends_ms > 0))
        box->until_ms = now_ms + BOXES_READER_MS;
    if (result == BOX_OK && box->ends_ms > 0 && box->until_ms > box->ends_ms)
        box->until_ms = box->ends_ms;
    p2p_unlock(&b->lock);
    return result;
}

/* Who knows the number of the link could have made a box for answers of it before. */
static enum box_result
make_link(struct box *box)
{
    struct holder *h = box->holder;

    if (box->is_link)
        return BOX_OK;
    if (box->ends_ms > 0)
        return BOX_NONE; /* of a code */
    if (h->links >= BOXES_LINKS_PER_SOURCE)
        return BOX_CROWDED;
    h->boxes--;
    h->links++;
    box->is_link = true;
    return BOX_OK;
}

enum box_result
boxes_attend_link(struct boxes *b, const struct box_id *id,
                  const struct box_source *source, uint64_t now_ms)
{
    enum box_result result = BOX_OK;
    struct box *box;

    p2p_lock(&b->lock);
    if (now_ms >= b->sweep_at_ms)
        sweep(b, now_ms);
    if ((box = find_live(b, id, now_ms)) == NULL)
        result = add_box(b, id, source, true, &box);
    else
        result = make_link(box);
    if (result == BOX_OK)
        box->until_ms = now_ms + BOXES_READER_MS;
    p2p_unlock(&b->lock);
    return result;
}

bool
boxes_has_link(struct boxes *b, const struct box_id *id, uint64_t now_ms)
{
    p2p_lock(&b->lock);
    struct box *box = find_live(b, id, now_ms);
    bool has = box != NULL && box->is_link;
    p2p_unlock(&b->lock);
    return has;
}

bool
boxes_is_news(struct boxes *b, const struct box_id *id, uint64_t now_ms)
{
    struct box *box;
    bool is_news;

    p2p_lock(&b->lock);
    box = find_live(b, id, now_ms);
    is_news = box != NULL && now_ms >= box->tell_ms;
    if (is_news)
        box->tell_ms = now_ms + BOXES_TELL_MS;
    p2p_unlock(&b->lock);
    return is_news;
}

enum box_result
boxes_make_for_code(struct boxes *b, const struct box_id *id,
                    const struct box_source *source, uint64_t now_ms)
{
    enum box_result result = BOX_FULL; /* it exists */
    struct box *box;

    p2p_lock(&b->lock);
    if (now_ms >= b->sweep_at_ms)
        sweep(b, now_ms);
    if (find_live(b, id, now_ms) == NULL &&
        (result = add_box(b, id, source, false, &box)) == BOX_OK) {
        box->ends_ms = now_ms + BOXES_CODE_MS;
        box->until_ms = now_ms + BOXES_READER_MS;
    }
    p2p_unlock(&b->lock);
    return result;
}

enum box_result
boxes_drop(struct boxes *b, const struct box_id *id, uint64_t now_ms)
{
    enum box_result result = BOX_NONE;
    struct box *box;

    p2p_lock(&b->lock);
    box = find_live(b, id, now_ms);
    if (box != NULL && !id->is_peer && box->ends_ms == 0) {
        remove_box(b, place_of(b, id));
        result = BOX_OK;
    }
    p2p_unlock(&b->lock);
    return result;
}

bool
boxes_has(struct boxes *b, const struct box_id *id, uint64_t now_ms)
{
    p2p_lock(&b->lock);
    bool has = find_live(b, id, now_ms) != NULL;
    p2p_unlock(&b->lock);
    return has;
}

static enum box_result
make_room(struct boxes *b, struct box *box, const struct holder *h, size_t need)
    P2P_REQUIRES(boxes_lock)
{
    size_t max = box->id.is_peer ? BOXES_IN_PEERS_BOX : BOXES_IN_ANSWER_BOX;
    struct message *victim;

    if (h->bytes + need > b->limits.max_bytes_per_source)
        return BOX_CROWDED;
    if (b->bytes + need > b->limits.max_bytes)
        return BOX_FULL;
    if (box->count < max)
        return BOX_OK;
    if ((victim = victim_for(box, h)) == NULL)
        return BOX_FULL;
    remove_message(b, box, victim);
    return BOX_OK;
}

static enum box_result
append(struct boxes *b, struct box *box, struct holder *h, const char *text, size_t len,
       uint64_t until_ms, uint64_t number) P2P_REQUIRES(boxes_lock)
{
    enum box_result result = make_room(b, box, h, cost(len));
    struct message *m = NULL;

    if (result == BOX_OK && (m = malloc(cost(len))) == NULL)
        result = BOX_FULL;
    if (result != BOX_OK)
        return result;
    box->last_number = number > box->last_number ? number : box->last_number + 1;
    *m = (struct message){
        .number = box->last_number, .until_ms = until_ms, .holder = h, .len = len};
    memcpy(m->text, text, len);
    m->text[len] = '\0';
    TAILQ_INSERT_TAIL(&box->messages, m, link);
    h->bytes += cost(len);
    b->bytes += cost(len);
    box->count++;
    b->messages++;
    b->posted++;
    return BOX_OK;
}

enum box_result
boxes_post(struct boxes *b, const struct box_id *id, const struct box_source *source,
           const char *text, size_t len, uint64_t now_ms, uint64_t *number)
{
    enum box_result result = BOX_NONE;
    struct box *box;

    p2p_lock(&b->lock);
    if ((box = find_live(b, id, now_ms)) != NULL) {
        struct holder *h = get_holder(b, source);
        if (h != NULL)
            h->boxes++; /* it stays while others of its messages go */
        result = h == NULL || len > BOXES_MESSAGE_MAX
                     ? BOX_FULL
                     : append(b, box, h, text, len, now_ms + BOXES_MESSAGE_MS, *number);
        *number = box->last_number;
        if (h != NULL) {
            h->boxes--;
            drop_holder_if_empty(b, h);
        }
    }
    p2p_unlock(&b->lock);
    return result;
}

enum box_result
boxes_read(struct boxes *b, const struct box_id *id, uint64_t after, uint64_t now_ms,
           boxes_visit *visit, void *arg, uint64_t *next)
{
    enum box_result result = BOX_NONE;
    struct message *m;
    struct box *box;

    *next = after;
    p2p_lock(&b->lock);
    if ((box = find_live(b, id, now_ms)) != NULL) {
        result = BOX_OK;
        if (after > box->last_number)
            after = 0;
        TAILQ_FOREACH(m, &box->messages, link)
        {
            m->is_read = m->is_read || m->number <= after;
            if (m->number > after)
                visit(arg, m->number, m->text, m->len);
        }
        *next = box->last_number;
    }
    p2p_unlock(&b->lock);
    return result;
}

void
boxes_free(struct boxes *b)
{
    if (b == NULL)
        return;
    p2p_mutex_unshared(&b->lock);
    sweep(b, UINT64_MAX - SWEEP_EVERY_MS);
    p2p_mutex_clear(&b->lock);
    free(b);
}

void
boxes_stats(struct boxes *b, struct boxes_stats *out)
{
    p2p_lock(&b->lock);
    *out = (struct boxes_stats){.boxes = b->box_count,
                                .messages = b->messages,
                                .bytes = b->bytes,
                                .posted = b->posted};
    p2p_unlock(&b->lock);
}
