/*
 * Finds names in a view of the dictionary: which names match a text, and how well.
 * Takes no lock, so a name that it finds may be gone when it is looked up.
 */
#ifndef P2P_DISCOVERY_MATCH_H
#define P2P_DISCOVERY_MATCH_H

#include "discovery/index/dict.h"

enum match_mode { MATCH_EXACT, MATCH_PREFIX, MATCH_SUBSTRING, MATCH_FUZZY };
#define MATCH_MODES 4u
/* "exact", ... */
extern const char *const match_mode_names[MATCH_MODES];

/* Names considered for one query; more than a person pages through. */
#define MATCH_NAMES_MAX 5000u
#define MATCH_QUERY_MAX 255u /* bytes, folded */

struct match {
    uint32_t id;      /* of the catalogue, to be verified by text */
    uint16_t rank;    /* 0: the whole name; then beginnings, words, parts; matches with
                       * errors are last */
    const char *text; /* in the view: valid while it is held */
};

struct match_list {
    struct match *at;
    uint32_t count, cap;
    bool is_cut; /* there were more than MATCH_NAMES_MAX */
};

/* `query` is folded, 1..MATCH_QUERY_MAX bytes. False: out of memory. */
bool match_names(const struct dict_view *view, enum match_mode mode, const char *query,
                 struct match_list *out);
void match_clear(struct match_list *list);

/* How many errors a query of this length is allowed. */
unsigned match_errors_allowed(size_t len);

#endif
