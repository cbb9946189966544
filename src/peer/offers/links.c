#include "peer/offers/links.h"

#include <stdlib.h>
#include <string.h>

#include "p2p/clock.h"
#include "p2p/lock.h"
#include "p2p/log.h"

enum {
    GUESTS_KEPT = 256, /* that a link remembers */
    NEAR_MS = 5000,
};

struct guest {
    struct p2p_guest_id id;
    bool is_done;
};

struct link {
    struct links_entry entry;
    struct p2p_guests *meeting; /* at the registries; NULL: there are none */
    struct p2p_guests *near_meeting;
    struct p2p_discovery *near;
    unsigned wrong; /* PINs in a row */
    uint64_t locked_until_ms;
    struct links_counts counts;
    bool is_spent; /* the table does not know yet */
    struct guest guests[GUESTS_KEPT];
    size_t guest_count;
};

P2P_MUTEX_KIND(links_lock);
struct links {
    struct links_options opt;
    struct links_lock lock;
    struct p2p_discovery *discovery P2P_GUARDED_BY(links_lock);
    bool is_open P2P_GUARDED_BY(links_lock);
    struct link *at[LINKS_MAX] P2P_GUARDED_BY(links_lock);
    size_t count P2P_GUARDED_BY(links_lock);
};

/* ---- life ---- */

enum p2p_err
links_new(const struct links_options *opt, struct links **out)
{
    *out = calloc(1, sizeof(**out));
    if (*out == NULL)
        return P2P_ERR_NOMEM;
    (*out)->opt = *opt;
    p2p_mutex_init(&(*out)->lock);
    return P2P_OK;
}

void
links_begin(struct links *l, struct p2p_discovery *discovery)
{
    p2p_lock(&l->lock);
    l->discovery = discovery;
    l->is_open = true;
    p2p_unlock(&l->lock);
}

/* Without the lock: it waits for threads. */
static void
end_link(struct link *link)
{
    p2p_guests_stop(link->meeting);
    p2p_guests_stop(link->near_meeting);
    p2p_discovery_close(link->near);
    p2p_wipe(link, sizeof(*link));
    free(link);
}

/* Takes out the first link that `is_meant`; NULL: there is none. */
static struct link *
take_out(struct links *l, bool (*is_meant)(const struct link *link, uint64_t value),
         uint64_t value)
{
    struct link *found = NULL;

    p2p_lock(&l->lock);
    for (size_t i = 0; i < l->count && found == NULL; i++)
        if (is_meant(l->at[i], value)) {
            found = l->at[i];
            l->at[i] = l->at[--l->count];
        }
    p2p_unlock(&l->lock);
    return found;
}

static bool
end_all(struct links *l, bool (*is_meant)(const struct link *link, uint64_t value),
        uint64_t value)
{
    struct link *link;
    bool was_one = false;

    while ((link = take_out(l, is_meant, value)) != NULL) {
        end_link(link);
        was_one = true;
    }
    return was_one;
}

static bool
is_any(const struct link *link, uint64_t value)
{
    (void)link, (void)value;
    return true;
}

static bool
is_owned(const struct link *link, uint64_t owner)
{
    return link->entry.owner == owner;
}

static bool
is_over(const struct link *link, uint64_t now_s)
{
    return link->entry.expires_s <= now_s;
}

void
links_halt(struct links *l)
{
    if (l == NULL)
        return;
    p2p_lock(&l->lock);
    l->discovery = NULL;
    l->is_open = false;
    p2p_unlock(&l->lock);
    (void)end_all(l, is_any, 0);
}

void
links_free(struct links *l)
{
    if (l == NULL)
        return;
    p2p_mutex_clear(&l->lock);
    free(l);
}

/* ---- changes ---- */

static struct link *
find(struct links *l, const struct p2p_id *id) P2P_REQUIRES(links_lock)
{
    for (size_t i = 0; i < l->count; i++)
        if (p2p_id_equal(&l->at[i]->entry.keys.guest, id) &&
            !is_over(l->at[i], p2p_time_s()))
            return l->at[i];
    return NULL;
}

static enum p2p_err
start_near(struct link *link, const struct p2p_guests_options *at_registries)
{
    const char *const urls[] = {link->entry.near};
    struct p2p_guests_options options = *at_registries;
    enum p2p_err err = p2p_discovery_open(urls, 1, NEAR_MS, &link->near);

    options.discovery = link->near;
    return err == P2P_OK ? p2p_guests_start(&options, &link->near_meeting) : err;
}

static enum p2p_err
start(struct links *l, struct link *link) P2P_REQUIRES(links_lock)
{
    enum p2p_err err = P2P_OK;
    const struct p2p_guests_options options = {
        .discovery = l->discovery,
        .peer = l->opt.peer,
        .key = l->opt.key,
        .keys = link->entry.keys,
        .on_guest = l->opt.on_guest,
        .arg = l->opt.arg,
    };

    if (!l->is_open || (l->discovery == NULL && link->entry.near[0] == '\0'))
        return P2P_ERR_UNSUPPORTED;
    if (l->count == LINKS_MAX)
        return P2P_ERR_TOO_LARGE;
    if (find(l, &link->entry.keys.guest) != NULL)
        return P2P_ERR_EXISTS;
    if (link->entry.near[0] != '\0')
        err = start_near(link, &options);
    return err == P2P_OK && l->discovery != NULL
               ? p2p_guests_start(&options, &link->meeting)
               : err;
}

enum p2p_err
links_add(struct links *l, const struct links_entry *entry)
{
    struct link *link = calloc(1, sizeof(*link));
    enum p2p_err err;

    if (link == NULL)
        return P2P_ERR_NOMEM;
    link->entry = *entry;
    p2p_lock(&l->lock);
    err = start(l, link);
    if (err == P2P_OK)
        l->at[l->count++] = link;
    p2p_unlock(&l->lock);
    if (err != P2P_OK)
        end_link(link);
    return err;
}

bool
links_remove(struct links *l, uint64_t owner)
{
    return end_all(l, is_owned, owner);
}

/* The owners of the links that are answered now: rows of the table, or offers. */
static size_t
list_owners(struct links *l, bool of_table, uint64_t out[LINKS_MAX])
{
    size_t n = 0;

    p2p_lock(&l->lock);
    for (size_t i = 0; i < l->count; i++)
        if ((l->at[i]->entry.owner >= LINKS_TABLE) == of_table)
            out[n++] = l->at[i]->entry.owner;
    p2p_unlock(&l->lock);
    return n;
}

/* Without the lock: offers have one of their own. */
static bool
end_orphans(struct links *l)
{
    uint64_t owners[LINKS_MAX];
    size_t count = l->opt.has_offer != NULL ? list_owners(l, false, owners) : 0;
    bool was_one = false;

    for (size_t i = 0; i < count; i++)
        if (!l->opt.has_offer(l->opt.arg, (uint32_t)owners[i]))
            was_one = links_remove(l, owners[i]) || was_one;
    return was_one;
}

bool
links_sweep(struct links *l)
{
    bool was_over = end_all(l, is_over, p2p_time_s());

    return end_orphans(l) || was_over;
}

/* ---- the table ---- */

static bool
is_answered(struct links *l, uint64_t owner)
{
    struct links_counts counts;

    return links_count(l, owner, &counts);
}

static void
answer_row(struct links *l, const struct p2p_links_row *row)
{
    struct links_entry entry = {
        .owner = LINKS_TABLE + row->id,
        .keys = row->keys,
        .expires_s = row->expires_s,
        .uses_left = row->uses_left,
        .bytes_left = row->bytes_left,
        .has_pin = row->has_pin,
        .pin = row->pin,
    };
    enum p2p_err err;

    if (is_answered(l, entry.owner))
        return;
    memcpy(entry.title, row->title, sizeof(entry.title));
    err = links_add(l, &entry);
    if (err != P2P_OK && err != P2P_ERR_UNSUPPORTED)
        p2p_log_warn("a link is not answered id=%llu reason=\"%s\"",
                     (unsigned long long)row->id, p2p_err_text(err));
    p2p_wipe(&entry, sizeof(entry));
}

static bool
has_row(const struct p2p_links_row *rows, size_t count, uint64_t owner)
{
    for (size_t i = 0; i < count; i++)
        if (LINKS_TABLE + rows[i].id == owner)
            return true;
    return false;
}

bool
links_follow(struct links *l, const char *keys_dir)
{
    uint64_t owners[LINKS_MAX];
    struct p2p_links_row *rows;
    size_t count, owner_count;
    bool was_one = false;

    if (p2p_links_list(keys_dir, &rows, &count) != P2P_OK)
        return false;
    owner_count = list_owners(l, true, owners);
    for (size_t i = 0; i < owner_count; i++)
        if (!has_row(rows, count, owners[i]))
            was_one = links_remove(l, owners[i]) || was_one;
    for (size_t i = 0; i < count; i++)
        if (rows[i].folder[0] == '\0') /* others are answered by who made them */
            answer_row(l, &rows[i]);
    if (rows != NULL)
        p2p_wipe(rows, count * sizeof(*rows));
    free(rows);
    return was_one;
}

/* The next link of the table that was used; false: there is none. */
static bool
take_spent(struct links *l, struct links_entry *out)
{
    bool found = false;

    p2p_lock(&l->lock);
    for (size_t i = 0; i < l->count && !found; i++)
        if (l->at[i]->is_spent && l->at[i]->entry.owner >= LINKS_TABLE) {
            l->at[i]->is_spent = false;
            *out = l->at[i]->entry;
            found = true;
        }
    p2p_unlock(&l->lock);
    return found;
}

void
links_store(struct links *l, const char *keys_dir)
{
    struct links_entry entry;

    if (l == NULL)
        return;
    while (take_spent(l, &entry))
        if (p2p_links_spend(keys_dir, entry.owner - LINKS_TABLE, entry.uses_left,
                            entry.bytes_left) != P2P_OK)
            p2p_log_warn("cannot save how much of a link was used");
    p2p_wipe(&entry, sizeof(entry));
}

bool
links_count(struct links *l, uint64_t owner, struct links_counts *out)
{
    bool has_one = false;

    *out = (struct links_counts){0};
    p2p_lock(&l->lock);
    for (size_t i = 0; i < l->count; i++)
        if (is_owned(l->at[i], owner)) {
            has_one = true;
            out->uses += l->at[i]->counts.uses;
            out->done += l->at[i]->counts.done;
        }
    p2p_unlock(&l->lock);
    return has_one;
}

/* ---- guests ---- */

bool
links_find(struct links *l, const struct p2p_id *id, struct links_entry *out)
{
    const struct link *link;

    if (l == NULL)
        return false;
    p2p_lock(&l->lock);
    if ((link = find(l, id)) != NULL)
        *out = link->entry;
    p2p_unlock(&l->lock);
    return link != NULL;
}

static enum p2p_err
check_pin(struct link *link, const struct p2p_link_pin *pin)
{
    uint64_t now_ms = p2p_now_ms();

    if (now_ms < link->locked_until_ms)
        return P2P_ERR_RATE_LIMITED;
    if (p2p_equal_ct(link->entry.pin.b, pin->b, sizeof(pin->b))) {
        link->wrong = 0;
        return P2P_OK;
    }
    if (++link->wrong >= LINKS_WRONG_MAX) {
        link->wrong = 0;
        link->locked_until_ms = now_ms + LINKS_LOCKED_MS;
        p2p_log_warn(
            "too many wrong PINs for a link: it refuses all PINs for 15 minutes");
    }
    return P2P_ERR_AUTH;
}

enum p2p_err
links_check_pin(struct links *l, const struct p2p_id *id,
                const struct p2p_link_pin *pin)
{
    struct link *link;
    enum p2p_err err = P2P_ERR_NOT_FOUND;

    if (l == NULL)
        return err;
    p2p_lock(&l->lock);
    if ((link = find(l, id)) != NULL)
        err = check_pin(link, pin);
    p2p_unlock(&l->lock);
    return err;
}

static struct guest *
find_guest(struct link *link, const struct p2p_guest_id *id)
{
    for (size_t i = 0; i < link->guest_count; i++)
        if (memcmp(link->guests[i].id.b, id->b, sizeof(id->b)) == 0)
            return &link->guests[i];
    return NULL;
}

/* One that is not remembered any longer counts again. */
static enum p2p_err
use(struct link *link, const struct p2p_guest_id *id)
{
    if (find_guest(link, id) != NULL)
        return P2P_OK;
    if (link->entry.uses_left == 0)
        return P2P_ERR_NOT_ALLOWED;
    if (link->entry.uses_left != LINKS_NO_LIMIT)
        link->entry.uses_left--;
    link->is_spent = true;
    link->counts.uses++;
    if (link->guest_count == GUESTS_KEPT)
        memmove(&link->guests[0], &link->guests[1],
                --link->guest_count * sizeof(link->guests[0]));
    link->guests[link->guest_count++] = (struct guest){.id = *id};
    return P2P_OK;
}

enum p2p_err
links_use(struct links *l, const struct p2p_id *id, const struct p2p_guest_id *guest)
{
    struct link *link;
    enum p2p_err err = P2P_ERR_NOT_ALLOWED;

    if (l == NULL)
        return err;
    p2p_lock(&l->lock);
    if ((link = find(l, id)) != NULL)
        err = use(link, guest);
    p2p_unlock(&l->lock);
    return err;
}

enum p2p_err
links_spend(struct links *l, const struct p2p_id *id, uint64_t bytes)
{
    struct link *link;
    bool has = false;

    if (l == NULL)
        return P2P_ERR_NOT_ALLOWED;
    p2p_lock(&l->lock);
    if ((link = find(l, id)) != NULL) {
        has = link->entry.bytes_left >= bytes;
        if (has && link->entry.bytes_left != LINKS_NO_LIMIT)
            link->entry.bytes_left -= bytes;
        link->is_spent = link->is_spent || has;
    }
    p2p_unlock(&l->lock);
    return has ? P2P_OK : P2P_ERR_NOT_ALLOWED;
}

void
links_done(struct links *l, const struct p2p_id *id, const struct p2p_guest_id *guest)
{
    struct guest *known;
    struct link *link;

    if (l == NULL)
        return;
    p2p_lock(&l->lock);
    if ((link = find(l, id)) != NULL && (known = find_guest(link, guest)) != NULL &&
        !known->is_done) {
        known->is_done = true;
        link->counts.done++;
    }
    p2p_unlock(&l->lock);
}
