#include "peer/uploads/uploads.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "p2p/bytes.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "peer/uploads/uploads_file.h"

enum {
    BUCKETS = 256,
    SPEED_MS = 1000, /* length of a measurement */
    LINES_PER_S = 10,
    TEXT_MAX = 256,
};

struct running {
    LIST_ENTRY(running) link;
    TAILQ_ENTRY(running) age;
    struct upload upload;
    uint64_t started_ms, last_ms;
    uint64_t measure_ms, measured; /* begin of a measurement, and its bytes so far */
};

P2P_MUTEX_KIND(uploads_lock);
struct uploads {
    const char *keys_dir;
    pthread_t thread;
    pthread_cond_t changed;
    struct uploads_lock lock;
    bool ending P2P_GUARDED_BY(uploads_lock);
    LIST_HEAD(, running) bucket[BUCKETS] P2P_GUARDED_BY(uploads_lock);
    TAILQ_HEAD(, running) by_age P2P_GUARDED_BY(uploads_lock);
    size_t count P2P_GUARDED_BY(uploads_lock);
    uint64_t next_id P2P_GUARDED_BY(uploads_lock);
    struct upload recent[UPLOADS_RECENT_MAX] P2P_GUARDED_BY(uploads_lock);
    size_t recent_count P2P_GUARDED_BY(uploads_lock); /* all that have ended */
    struct uploads_totals totals P2P_GUARDED_BY(uploads_lock);
    bool is_stored P2P_GUARDED_BY(uploads_lock);
    uint64_t log_second P2P_GUARDED_BY(uploads_lock);
    unsigned lines P2P_GUARDED_BY(uploads_lock), unsaid P2P_GUARDED_BY(uploads_lock);
};

/* ---- The totals ---- */

static struct upload_peer *
find_peer(struct uploads_totals *totals, const struct p2p_id *id)
{
    for (size_t i = 0; i < totals->count; i++)
        if (p2p_id_equal(&totals->peers[i].id, id))
            return &totals->peers[i];
    return NULL;
}

/* A new row, or the one of the peer that has downloaded least. */
static struct upload_peer *
add_peer(struct uploads_totals *totals)
{
    struct upload_peer *least = &totals->peers[0];

    if (totals->count < UPLOADS_PEERS_MAX)
        return &totals->peers[totals->count++];
    for (size_t i = 1; i < totals->count; i++)
        if (totals->peers[i].bytes < least->bytes)
            least = &totals->peers[i];
    return least;
}

static void
book(struct uploads *u, const struct upload *upload) P2P_REQUIRES(uploads_lock)
{
    struct upload_peer *peer = find_peer(&u->totals, &upload->peer);

    if (peer == NULL) {
        peer = add_peer(&u->totals);
        *peer = (struct upload_peer){.id = upload->peer};
    }
    peer->is_proven = peer->is_proven || upload->is_proven;
    if (upload->claim[0] != '\0')
        memcpy(peer->claim, upload->claim, sizeof(peer->claim));
    peer->uploads++;
    peer->bytes += upload->sent;
    peer->last_s = upload->ended_s;
    u->totals.uploads++;
    u->totals.bytes += upload->sent;
    u->is_stored = false;
}

/* ---- The end of an upload ---- */

static void
log_end(struct uploads *u, const struct upload *upload, uint64_t now_ms)
    P2P_REQUIRES(uploads_lock)
{
    char id[P2P_ID_HEX_LEN + 1], name[TEXT_MAX];

    if (u->log_second != now_ms / 1000) {
        if (u->unsaid > 0)
            p2p_log_info("uploads: %u more have ended", u->unsaid);
        u->log_second = now_ms / 1000;
        u->lines = u->unsaid = 0;
    }
    if (u->lines++ >= LINES_PER_S) {
        u->unsaid++;
        return;
    }
    p2p_hex_format(upload->peer.b, sizeof(upload->peer.b), id);
    p2p_log_info("upload ended peer=%s%s name=\"%s\" sent=%llu size=%llu "
                 "bytes_per_s=%llu",
                 id, upload->is_proven ? "" : " (claimed)",
                 p2p_log_escape(upload->name, strlen(upload->name), name, sizeof(name)),
                 (unsigned long long)upload->sent, (unsigned long long)upload->size,
                 (unsigned long long)upload->speed);
}

static void
end(struct uploads *u, struct running *r, uint64_t now_ms) P2P_REQUIRES(uploads_lock)
{
    uint64_t took_ms = r->last_ms > r->started_ms ? r->last_ms - r->started_ms : 1;

    r->upload.speed = r->upload.sent * 1000 / took_ms;
    r->upload.ended_s = p2p_time_s();
    book(u, &r->upload);
    log_end(u, &r->upload, now_ms);
    u->recent[u->recent_count++ % UPLOADS_RECENT_MAX] = r->upload;
    LIST_REMOVE(r, link);
    TAILQ_REMOVE(&u->by_age, r, age);
    u->count--;
    free(r);
}

static uint64_t
ends_at(const struct running *r)
{
    bool all = r->upload.sent >= r->upload.size;

    return r->last_ms + (all ? UPLOADS_DONE_PAUSE_MS : UPLOADS_PAUSE_MS);
}

/* Returns when the next one may have to end. */
static uint64_t
end_paused(struct uploads *u, uint64_t now_ms) P2P_REQUIRES(uploads_lock)
{
    struct running *r = TAILQ_FIRST(&u->by_age), *next;
    uint64_t next_ms = P2P_NO_DEADLINE;

    for (; r != NULL; r = next) {
        next = TAILQ_NEXT(r, age);
        if (ends_at(r) <= now_ms)
            end(u, r, now_ms);
        else if (ends_at(r) < next_ms)
            next_ms = ends_at(r);
    }
    return next_ms;
}

void
uploads_end_paused(struct uploads *u, uint64_t now_ms)
{
    p2p_lock(&u->lock);
    (void)end_paused(u, now_ms);
    p2p_unlock(&u->lock);
}

/* ---- Bytes ---- */

static unsigned
bucket_of(const struct upload_piece *piece)
{
    return (piece->peer->b[0] ^ piece->root->b[0]) % BUCKETS; /* both are hashes */
}

static struct running *
find(struct uploads *u, const struct upload_piece *piece) P2P_REQUIRES(uploads_lock)
{
    struct running *r;

    LIST_FOREACH(r, &u->bucket[bucket_of(piece)], link)
    {
        if (p2p_id_equal(&r->upload.peer, piece->peer) &&
            memcmp(&r->upload.root, piece->root, sizeof(*piece->root)) == 0)
            return r;
    }
    return NULL;
}

static void
make_room(struct uploads *u, uint64_t now_ms) P2P_REQUIRES(uploads_lock)
{
    struct running *r, *quiet = TAILQ_FIRST(&u->by_age);

    if (u->count < UPLOADS_RUNNING_MAX)
        return;
    TAILQ_FOREACH(r, &u->by_age, age)
    {
        if (r->last_ms < quiet->last_ms)
            quiet = r;
    }
    end(u, quiet, now_ms);
}

static struct running *
begin(struct uploads *u, const struct upload_piece *piece, uint64_t now_ms)
    P2P_REQUIRES(uploads_lock)
{
    struct running *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL; /* it is only not shown */
    make_room(u, now_ms);
    r->started_ms = r->measure_ms = now_ms;
    r->upload.id = ++u->next_id;
    r->upload.peer = *piece->peer;
    r->upload.is_proven = piece->is_proven;
    r->upload.root = *piece->root;
    r->upload.size = piece->size;
    r->upload.started_s = p2p_time_s();
    strncpy(r->upload.name, piece->name, P2P_NAME_MAX);
    LIST_INSERT_HEAD(&u->bucket[bucket_of(piece)], r, link);
    TAILQ_INSERT_TAIL(&u->by_age, r, age);
    if (++u->count == 1)
        pthread_cond_signal(&u->changed);
    return r;
}

void
uploads_add(struct uploads *u, const struct upload_piece *piece, uint64_t now_ms)
{
    struct running *r;

    if (u == NULL)
        return;
    p2p_lock(&u->lock);
    if ((r = find(u, piece)) == NULL)
        r = begin(u, piece, now_ms);
    if (r != NULL && piece->claim[0] != '\0') /* it may have changed */
        strncpy(r->upload.claim, piece->claim, P2P_ABOUT_NAME_MAX);
    if (r != NULL) {
        r->last_ms = now_ms;
        r->upload.sent += piece->bytes;
        r->measured += piece->bytes;
        if (now_ms >= r->measure_ms + SPEED_MS) {
            r->upload.speed = r->measured * 1000 / (now_ms - r->measure_ms);
            r->measure_ms = now_ms;
            r->measured = 0;
        }
        if (r->upload.sent >= r->upload.size)
            pthread_cond_signal(&u->changed); /* it ends sooner now */
    }
    p2p_unlock(&u->lock);
}

/* ---- Copies ---- */

static uint64_t
speed_now(const struct running *r, uint64_t now_ms)
{
    uint64_t ms = now_ms > r->measure_ms ? now_ms - r->measure_ms : 0;

    /* Nothing was sent lately, or this is its first second. */
    if (ms >= 2 * SPEED_MS || (r->upload.speed == 0 && ms > 0))
        return r->measured * 1000 / ms;
    return r->upload.speed;
}

void
uploads_sum(struct uploads *u, struct uploads_sum *out, uint64_t now_ms)
{
    const struct running *r;

    p2p_lock(&u->lock);
    *out = (struct uploads_sum){
        .running = u->count,
        .uploads = u->totals.uploads + u->count,
        .bytes = u->totals.bytes,
        .peers = u->totals.count,
        .since_s = u->totals.since_s,
    };
    TAILQ_FOREACH(r, &u->by_age, age)
    {
        out->speed += speed_now(r, now_ms);
        out->bytes += r->upload.sent;
    }
    p2p_unlock(&u->lock);
}

size_t
uploads_list(struct uploads *u, struct upload *out, size_t max, uint64_t now_ms)
{
    const struct running *r;
    size_t n = 0, kept;

    p2p_lock(&u->lock);
    TAILQ_FOREACH(r, &u->by_age, age)
    {
        if (n == max)
            break;
        out[n] = r->upload;
        out[n++].speed = speed_now(r, now_ms);
    }
    kept = u->recent_count < UPLOADS_RECENT_MAX ? u->recent_count : UPLOADS_RECENT_MAX;
    for (size_t i = 1; i <= kept && n < max; i++)
        out[n++] = u->recent[(u->recent_count - i) % UPLOADS_RECENT_MAX];
    p2p_unlock(&u->lock);
    return n;
}

static int
compare_peers(const void *a, const void *b)
{
    uint64_t x = ((const struct upload_peer *)a)->bytes;
    uint64_t y = ((const struct upload_peer *)b)->bytes;

    return (x < y) - (x > y);
}

size_t
uploads_peers(struct uploads *u, struct upload_peer *out, size_t max)
{
    struct upload_peer *all = calloc(UPLOADS_PEERS_MAX, sizeof(*all));
    size_t count;

    if (all == NULL)
        return 0;
    p2p_lock(&u->lock);
    count = u->totals.count;
    memcpy(all, u->totals.peers, count * sizeof(*all));
    p2p_unlock(&u->lock);
    qsort(all, count, sizeof(*all), compare_peers);
    if (count > max)
        count = max;
    memcpy(out, all, count * sizeof(*all));
    free(all);
    return count;
}

/* ---- The thread ---- */

static void
store(const struct uploads *u, struct uploads_totals *copy)
{
    enum p2p_err err = uploads_store(u->keys_dir, copy);

    if (err != P2P_OK)
        p2p_log_warn("cannot store the totals of uploads in %s: %s", u->keys_dir,
                     p2p_err_text(err));
}

/* True if the totals have changed since they were stored; then copies them. */
static bool
take_news(struct uploads *u, struct uploads_totals *copy) P2P_REQUIRES(uploads_lock)
{
    if (u->is_stored)
        return false;
    *copy = u->totals;
    u->is_stored = true;
    return true;
}

static void *
run(void *arg)
{
    struct uploads *u = arg;
    struct uploads_totals *copy = malloc(sizeof(*copy));
    uint64_t store_ms = 0;
    bool ends = copy == NULL;

    while (!ends) {
        bool stores = false;
        p2p_lock(&u->lock);
        uint64_t next_ms = end_paused(u, p2p_now_ms());
        if (!u->is_stored && next_ms > store_ms)
            next_ms = store_ms;
        if (!u->ending && next_ms > p2p_now_ms())
            (void)p2p_wait_until(&u->changed, &u->lock, next_ms);
        ends = u->ending;
        if (!ends && p2p_now_ms() >= store_ms)
            stores = take_news(u, copy);
        p2p_unlock(&u->lock);
        if (stores) {
            store(u, copy);
            store_ms = p2p_now_ms() + UPLOADS_STORE_MS;
        }
    }
    free(copy);
    return NULL;
}

static void
load(struct uploads *u) P2P_REQUIRES(uploads_lock)
{
    enum p2p_err err = uploads_load(u->keys_dir, &u->totals);

    if (err != P2P_OK && err != P2P_ERR_NOT_FOUND)
        p2p_log_warn("cannot read the totals of uploads in %s: %s; missing totals "
                     "start at zero",
                     u->keys_dir, p2p_err_text(err));
    if (u->totals.since_s == 0)
        u->totals.since_s = p2p_time_s();
}

enum p2p_err
uploads_open(const char *keys_dir, struct uploads **out)
{
    struct uploads *u = calloc(1, sizeof(*u));

    *out = NULL;
    if (u == NULL)
        return P2P_ERR_NOMEM;
    p2p_mutex_init(&u->lock);
    p2p_cond_init(&u->changed);
    TAILQ_INIT(&u->by_age);
    u->keys_dir = keys_dir;
    u->is_stored = true;
    load(u);
    if (pthread_create(&u->thread, NULL, run, u) != 0) {
        pthread_cond_destroy(&u->changed);
        p2p_mutex_clear(&u->lock);
        free(u);
        return P2P_ERR_SYS;
    }
    *out = u;
    return P2P_OK;
}

void
uploads_close(struct uploads *u)
{
    struct running *r;

    if (u == NULL)
        return;
    p2p_lock(&u->lock);
    u->ending = true;
    pthread_cond_signal(&u->changed);
    p2p_unlock(&u->lock);
    pthread_join(u->thread, NULL);
    p2p_mutex_unshared(&u->lock);
    while ((r = TAILQ_FIRST(&u->by_age)) != NULL)
        end(u, r, p2p_now_ms());
    if (!u->is_stored)
        store(u, &u->totals);
    pthread_cond_destroy(&u->changed);
    p2p_mutex_clear(&u->lock);
    free(u);
}
