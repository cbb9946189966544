/*
 * Matches grouped by content, and the best groups of a page, in an order that is the
 * same in every registry that knows the same peers.
 */
#ifndef P2P_DISCOVERY_GROUP_H
#define P2P_DISCOVERY_GROUP_H

#include "discovery/index/match.h"
#include "discovery/registry/registry.h"

/* What results are sorted by, and what a cursor is made of. */
struct group_key {
    uint32_t rank;
    uint32_t sources;
    uint64_t tie; /* of name and content; set only where it decides */
};

/* One content (or, without one, one name) that was found. */
struct group {
    struct group_key key;
    uint32_t content; /* or SLAB_NONE */
    uint32_t name;    /* the best of its names */
    const char *text; /* of it, in the view */
    uint64_t hash;    /* what groups are found by */
    uint32_t next;
};

struct groups {
    struct group *at;
    uint32_t count, cap;
    uint32_t *heads;
    uint32_t mask;
};

/* Looks the matches up in the catalogue, with its lock held for some of them at a time;
 * false: out of memory. Clear in any case. */
bool groups_of_matches(struct registry *r, const struct match_list *list,
                       struct groups *out);
void groups_clear(struct groups *g);

/* Brings the best groups after `after` (NULL: the first) to the front, sorted; returns
 * their number. Spoils the rest. */
uint32_t groups_choose_page(struct groups *g, const struct group_key *after,
                            uint32_t limit, bool *has_more);

/* With the catalogue's lock held. The dictionary may be behind: whether the number
 * still is the name that was matched. */
bool group_is_current(const struct catalogue *c, uint32_t name, const char *text);

#endif
