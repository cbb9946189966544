/*
 * Groups matches by content and finds the best groups of a page, in an order that is
 * the same in every registry with the same peers.
 */
#ifndef P2P_DISCOVERY_GROUP_H
#define P2P_DISCOVERY_GROUP_H

#include "discovery/index/match.h"
#include "discovery/registry/registry.h"

/* The sort key of results. */
struct group_key {
    uint32_t rank;
    uint32_t sources;
    uint64_t tie; /* hash of name and content; set only if it decides */
};

/* The content of a cursor. Anyone can make a content with a given tie, so a second
 * hash, which nobody can forge, tells groups with equal ties apart. No cursor skips a
 * group. */
#define GROUP_EXACT 16
struct group_cursor {
    struct group_key key;
    uint8_t exact[GROUP_EXACT]; /* of SHA-256 of the name, the root and the size */
};

/* One content (or one name without a content) that was found. */
struct group {
    struct group_key key;
    uint32_t content; /* or SLAB_NONE */
    uint32_t name;    /* the best of its names */
    const char *text; /* of it, in the view */
    uint64_t hash;    /* hash by which groups are found */
    uint32_t next;
};

struct groups {
    struct group *at;
    uint32_t count, cap;
    uint32_t *heads;
    uint32_t mask;
};

/* Looks up the matches in the catalogue and holds its lock for some of them at a time;
 * false: out of memory. Clear it in either case. */
bool groups_of_matches(struct registry *r, const struct match_list *list,
                       struct groups *out);
void groups_clear(struct groups *g);

/* Sorts the best groups after `after` (NULL: the first) to the front and returns their
 * number. The order of the rest is lost. Takes the catalogue's lock for equal ties. */
uint32_t groups_choose_page(struct registry *r, struct groups *g,
                            const struct group_cursor *after, uint32_t limit,
                            bool *has_more);
/* Fields of a group of a page. */
void group_cursor_of(struct registry *r, const struct group *g,
                     struct group_cursor *out);

/* With the catalogue's lock held: true if the number still belongs to the name that
 * matched, because the dictionary may be behind. */
bool group_is_current(const struct catalogue *c, uint32_t name, const char *text);

#endif
