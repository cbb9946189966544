/*
 * The lists of changes of several folders as one. A question about a folder that one
 * share has is answered from its list. For all of them together, the place is the sum
 * of their places: it tells whether nothing has changed; and if something has, each
 * list has moved by at most as much as the sum.
 */
#include <stdio.h>
#include <string.h>

#include "core/shares/shares_internal.h"
#include "p2p/siphash.h"

/* The visitor, for the names of one of the folders. */
struct inner_changes {
    const struct p2p_shares *shares;
    size_t folder;
    p2p_share_visit_change *visit;
    void *arg;
};

static bool
visit_inner(void *arg, uint64_t change, const char *name,
            enum p2p_share_change_kind kind)
{
    struct inner_changes *in = arg;
    char whole[P2P_NAME_MAX + 1];

    snprintf(whole, sizeof(whole), "%s", name);
    if (p2p_shares_is_hidden(in->shares, in->folder, name) ||
        !p2p_shares_put_name(&in->shares->folders.at[in->folder], whole))
        return true;
    return in->visit(in->arg, change, whole, kind);
}

static void
read_one(struct inner_changes *in, uint32_t log, uint64_t after,
         struct p2p_shares_feed *out)
{
    struct p2p_share *share = in->shares->at[in->folder];
    struct p2p_share_feed feed;

    p2p_share_changes(share, after, NULL, NULL, &feed);
    out->is_known =
        feed.log != 0 && feed.log == log && after <= feed.last && after >= feed.cut;
    if (out->is_known)
        p2p_share_changes(share, after, visit_inner, in, &feed);
    else /* `after` is no place in this list */
        feed.seen = 0;
    out->log = feed.log;
    out->last = feed.last > feed.seen ? feed.last : feed.seen;
    out->seen = feed.seen;
    out->is_whole = feed.is_whole;
    out->is_sorted = true;
}

/* The folders' names and lists, as one number. */
static uint32_t
common_log(const struct p2p_shares *shares, const struct p2p_share_feed *feeds)
{
    uint64_t key[2] = {1, shares->folders.count};

    for (size_t i = 0; i < shares->folders.count; i++) {
        const char *name = shares->folders.at[i].name;
        if (feeds[i].log == 0)
            return 0;
        key[0] = p2p_siphash24(key, name, strlen(name)) ^ feeds[i].log;
    }
    uint32_t log = (uint32_t)p2p_siphash24(key, "", 0);
    return log != 0 ? log : 1;
}

static void
read_all(struct inner_changes *in, uint32_t log, uint64_t after,
         struct p2p_shares_feed *out)
{
    struct p2p_share_feed feeds[P2P_SHARES_MAX], now;
    size_t count = in->shares->folders.count;

    for (size_t i = 0; i < count; i++) {
        p2p_share_changes(in->shares->at[i], 0, NULL, NULL, &feeds[i]);
        out->last += feeds[i].last;
    }
    out->log = common_log(in->shares, feeds);
    out->seen = after;
    out->is_known = out->log != 0 && out->log == log && after <= out->last;
    out->is_whole = out->is_known;
    for (size_t i = 0; i < count && out->is_known && out->is_whole; i++) {
        uint64_t moved = out->last - after;
        uint64_t place = feeds[i].last > moved ? feeds[i].last - moved : 0;
        if (moved == 0)
            break;
        out->is_known = place >= feeds[i].cut;
        in->folder = i;
        if (out->is_known)
            p2p_share_changes(in->shares->at[i], place, visit_inner, in, &now);
        out->is_whole = out->is_known && now.is_whole;
    }
}

/* The only folder that has names below this one; SIZE_MAX: there are several. */
static size_t
only_folder(const struct p2p_shares *shares, const char *folder)
{
    char below[P2P_NAME_MAX + 3];
    const char *inner;

    if (shares->folders.count == 1)
        return 0;
    if (folder[0] == '\0')
        return SIZE_MAX;
    snprintf(below, sizeof(below), "%s/-", folder);
    return p2p_shares_find(shares, below, &inner);
}

void
p2p_shares_changes(struct p2p_shares *shares, const char *folder, uint32_t log,
                   uint64_t after, p2p_share_visit_change *visit, void *arg,
                   struct p2p_shares_feed *out)
{
    struct inner_changes in = {.shares = shares, .visit = visit, .arg = arg};

    memset(out, 0, sizeof(*out));
    in.folder = only_folder(shares, folder);
    if (in.folder != SIZE_MAX)
        read_one(&in, log, after, out);
    else
        read_all(&in, log, after, out);
}
