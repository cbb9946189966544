#include "p2p/access.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/siphash.h"

struct rule {
    char *folder;
    size_t len;
    bool everyone;
    struct p2p_id *peers;
    size_t peer_count;
};

struct p2p_access {
    _Atomic unsigned owners;
    bool is_public;
    struct p2p_access_link links[P2P_ACCESS_LINKS_MAX]; /* their names are owned */
    size_t link_count;
    size_t count;
    struct rule rules[]; /* sorted by folder, bytewise */
};

/* ---- Life ---- */

static int
compare_rules(const void *a, const void *b)
{
    return strcmp(((const struct rule *)a)->folder, ((const struct rule *)b)->folder);
}

static enum p2p_err
copy_rule(const struct p2p_access_rule *from, struct rule *to)
{
    size_t peers = from->everyone ? 0 : from->peer_count;

    if (peers > P2P_ACCESS_PEERS_MAX)
        return P2P_ERR_TOO_LARGE;
    to->len = strlen(from->folder);
    to->everyone = from->everyone;
    to->peer_count = peers;
    to->folder = strdup(from->folder);
    to->peers = calloc(peers + 1, sizeof(*to->peers));
    if (to->folder == NULL || to->peers == NULL)
        return P2P_ERR_NOMEM;
    for (size_t i = 0; i < peers; i++)
        to->peers[i] = from->peers[i];
    return P2P_OK;
}

static enum p2p_err
fill(struct p2p_access *access, const struct p2p_access_rule *rules, size_t count)
{
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < count && err == P2P_OK; i++)
        err = copy_rule(&rules[i], &access->rules[access->count++]);
    if (err != P2P_OK)
        return err;
    qsort(access->rules, access->count, sizeof(access->rules[0]), compare_rules);
    for (size_t i = 1; i < access->count; i++)
        if (compare_rules(&access->rules[i - 1], &access->rules[i]) == 0)
            return P2P_ERR_EXISTS;
    return P2P_OK;
}

enum p2p_err
p2p_access_new(const struct p2p_access_rule *rules, size_t count, bool is_public,
               struct p2p_access **out)
{
    struct p2p_access *access;
    enum p2p_err err;

    *out = NULL;
    if (count > P2P_ACCESS_RULES_MAX)
        return P2P_ERR_TOO_LARGE;
    access = calloc(1, sizeof(*access) + count * sizeof(access->rules[0]));
    if (access == NULL)
        return P2P_ERR_NOMEM;
    access->owners = 1;
    access->is_public = is_public;
    if ((err = fill(access, rules, count)) != P2P_OK) {
        p2p_access_put(access);
        return err;
    }
    *out = access;
    return P2P_OK;
}

enum p2p_err
p2p_access_add_link(struct p2p_access *access, const struct p2p_access_link *link)
{
    char *names;

    if (access->link_count == P2P_ACCESS_LINKS_MAX)
        return P2P_ERR_TOO_LARGE;
    if ((names = strdup(link->names)) == NULL)
        return P2P_ERR_NOMEM;
    access->links[access->link_count++] =
        (struct p2p_access_link){.guest = link->guest, .names = names};
    return P2P_OK;
}

struct p2p_access *
p2p_access_hold(struct p2p_access *access)
{
    access->owners++;
    return access;
}

void
p2p_access_put(struct p2p_access *access)
{
    if (access == NULL || --access->owners > 0)
        return;
    for (size_t i = 0; i < access->count; i++) {
        free(access->rules[i].folder);
        free(access->rules[i].peers);
    }
    for (size_t i = 0; i < access->link_count; i++)
        free((void *)(uintptr_t)access->links[i].names);
    free(access);
}

static bool
is_equal(const struct rule *a, const struct rule *b)
{
    return strcmp(a->folder, b->folder) == 0 && a->everyone == b->everyone &&
           a->peer_count == b->peer_count &&
           memcmp(a->peers, b->peers, a->peer_count * sizeof(a->peers[0])) == 0;
}

bool
p2p_access_equal(const struct p2p_access *a, const struct p2p_access *b)
{
    if (a->is_public != b->is_public || a->count != b->count ||
        a->link_count != b->link_count)
        return false;
    for (size_t i = 0; i < a->link_count; i++)
        if (!p2p_id_equal(&a->links[i].guest, &b->links[i].guest) ||
            strcmp(a->links[i].names, b->links[i].names) != 0)
            return false;
    for (size_t i = 0; i < a->count; i++)
        if (!is_equal(&a->rules[i], &b->rules[i]))
            return false;
    return true;
}

/* ---- The rule ---- */

static bool
is_in(const struct rule *rule, const char *name)
{
    return strncmp(name, rule->folder, rule->len) == 0;
}

/* The longest folder decides. Folders that contain the same name contain each other, so
 * the longest one is the last one in the order. */
static const struct rule *
find_rule(const struct p2p_access *access, const char *name)
{
    for (size_t i = access->count; i > 0; i--)
        if (is_in(&access->rules[i - 1], name))
            return &access->rules[i - 1];
    return NULL;
}

static bool
is_everyone(const struct p2p_access *access, const struct p2p_access_caller *caller)
{
    return !caller->is_outside || caller->is_trusted || access->is_public;
}

static bool
names(const struct rule *rule, const struct p2p_id *id)
{
    for (size_t i = 0; id != NULL && i < rule->peer_count; i++)
        if (p2p_id_equal(&rule->peers[i], id))
            return true;
    return false;
}

/* ---- Links ---- */

static const struct p2p_access_link *
find_link(const struct p2p_access *access, const struct p2p_id *guest)
{
    for (size_t i = 0; i < access->link_count; i++)
        if (p2p_id_equal(&access->links[i].guest, guest))
            return &access->links[i];
    return NULL;
}

bool
p2p_access_has_link(const struct p2p_access *access, const struct p2p_id *guest)
{
    return find_link(access, guest) != NULL;
}

/* Calls for each name of a link; true ends it. */
static bool
is_for(const struct p2p_access_link *link, const char *name)
{
    size_t name_len = strlen(name), len;

    for (const char *at = link->names; *at != '\0'; at += len + 1) {
        len = strcspn(at, "\n");
        bool is_folder = len > 0 && at[len - 1] == '/';
        if (strncmp(at, name, len) == 0 && (is_folder || name_len == len))
            return true;
        if (at[len] == '\0')
            break;
    }
    return false;
}

static bool
may_guest(const struct p2p_access *access, const struct p2p_id *guest, const char *name)
{
    const struct p2p_access_link *link = find_link(access, guest);

    return link != NULL && is_for(link, name);
}

bool
p2p_access_may(const struct p2p_access *access, const struct p2p_access_caller *caller,
               const char *name)
{
    const struct rule *rule;

    if (caller->link != NULL)
        return may_guest(access, caller->link, name);
    rule = find_rule(access, name);
    if (rule == NULL || rule->everyone)
        return is_everyone(access, caller);
    return names(rule, caller->id);
}

bool
p2p_access_may_enter(const struct p2p_access *access,
                     const struct p2p_access_caller *caller)
{
    if (caller->link != NULL)
        return p2p_access_has_link(access, caller->link);
    if (is_everyone(access, caller))
        return true;
    for (size_t i = 0; i < access->count; i++)
        if (names(&access->rules[i], caller->id))
            return true;
    return false;
}

bool
p2p_access_may_all(const struct p2p_access *access,
                   const struct p2p_access_caller *caller)
{
    return caller->link == NULL && access->count == 0 && is_everyone(access, caller);
}

uint64_t
p2p_access_mark(const struct p2p_access *access, const struct p2p_access_caller *caller)
{
    bool everyone = is_everyone(access, caller);
    uint64_t key[2] = {everyone, access->count};

    for (size_t i = 0; i < access->count; i++) {
        const struct rule *rule = &access->rules[i];
        bool allows = rule->everyone ? everyone : names(rule, caller->id);
        key[1] += allows;
        key[0] = p2p_siphash24(key, rule->folder, rule->len);
    }
    return p2p_siphash24(key, "", 0);
}

bool
p2p_access_is_public(const struct p2p_access *access)
{
    return access->is_public;
}

/* ---- Lists ---- */

/* The first rule for a folder that comes after `name` and is a part of `folder`. */
static const struct rule *
next_inside(const struct p2p_access *access, const char *name, const char *folder)
{
    for (size_t i = 0; i < access->count; i++)
        if (strcmp(access->rules[i].folder, name) > 0)
            return strncmp(access->rules[i].folder, folder, strlen(folder)) == 0
                       ? &access->rules[i]
                       : NULL;
    return NULL;
}

/* Of the names of the link that come after `name`, the place before the first one.
 * "photos/" and "photos.txt" come right behind "photos.\xff" and "photos.txs\xff". */
static void
skip_to_link(const struct p2p_access_link *link, const char *name,
             char out[P2P_ACCESS_PLACE_MAX])
{
    char first[P2P_ACCESS_PLACE_MAX] = "", one[P2P_ACCESS_PLACE_MAX];
    size_t len;

    for (const char *at = link != NULL ? link->names : ""; *at != '\0';
         at += len + (at[len] != '\0')) {
        len = strcspn(at, "\n");
        snprintf(one, sizeof(one), "%.*s", (int)len, at);
        if (strcmp(one, name) > 0 && (first[0] == '\0' || strcmp(one, first) < 0))
            memcpy(first, one, strlen(one) + 1);
    }
    len = strlen(first);
    if (len > 0)
        first[len - 1]--;
    snprintf(out, P2P_ACCESS_PLACE_MAX, "%.*s\xff", (int)P2P_NAME_MAX + 1, first);
}

/* No name has the byte 0xff, so "photos/\xff" is behind all that begins with "photos/",
 * and ".\xff" is before a slash and behind everything that sorts before it. */
void
p2p_access_skip(const struct p2p_access *access, const struct p2p_access_caller *caller,
                const char *name, char out[P2P_ACCESS_PLACE_MAX])
{
    const struct rule *rule = find_rule(access, name), *inside;
    const char *folder = rule != NULL ? rule->folder : "";

    if (caller->link != NULL) {
        skip_to_link(find_link(access, caller->link), name, out);
        return;
    }
    inside = next_inside(access, name, folder);
    if (inside != NULL)
        snprintf(out, P2P_ACCESS_PLACE_MAX, "%.*s.\xff", (int)inside->len - 1,
                 inside->folder);
    else
        snprintf(out, P2P_ACCESS_PLACE_MAX, "%s\xff", folder);
}
