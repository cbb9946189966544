/*
 * Search: finds matching names and returns them grouped by content, best first, in
 * pages. The order is: how well the name matches, how many peers have it, the name, the
 * content. So it is the same in every registry with the same peers.
 */
#ifndef P2P_DISCOVERY_SEARCH_H
#define P2P_DISCOVERY_SEARCH_H

#include "discovery/index/match.h"
#include "discovery/registry/registry.h"

#define SEARCH_CURSOR_MAX 96 /* text, with NUL */

struct search_query {
    const char *text; /* valid UTF-8, as the person typed it */
    enum match_mode mode;
    uint32_t limit;
    const char *cursor; /* the last page's cursor; NULL: the first page */
};

struct search_result {
    char *name; /* as its peers spell it; if a content has many names, the best one */
    bool has_content;
    uint64_t size;
    struct p2p_digest root;
    struct p2p_digest sha256; /* zero: not known */
    uint32_t sources;         /* number of peers times the names that they use for it */
    struct registry_source *peers; /* at most SEARCH_SOURCES of them */
    uint32_t n_peers;
};
#define SEARCH_SOURCES 100u

struct search_results {
    struct search_result *at;
    uint32_t count;
    char next[SEARCH_CURSOR_MAX]; /* "" at the end */
    bool is_cut;                  /* more names matched than were examined */
};

/* RANGE: the text is empty or too long. MALFORMED: not a cursor. */
P2P_MUST_CHECK enum p2p_err search_run(struct registry *r, const struct search_query *q,
                                       struct search_results *out);
void search_results_clear(struct search_results *results);

#endif
