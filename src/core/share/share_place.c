/* Whether the folder is at its place, and has its files: otherwise it is away, and
 * readers find nothing in it. */
#include "core/share/share_internal.h"
#include "p2p/clock.h"
#include "p2p/lock.h"
#include "p2p/log.h"

/* How often the path of the folder is checked. */
#define PLACE_LOOKS_QUIET 4 /* times the quiet time: 2 s by default */

bool
p2p_share_is_gone(struct p2p_share *s)
{
    return atomic_load_explicit(&s->is_gone, memory_order_relaxed);
}

bool
p2p_share_is_emptied(struct p2p_share *s)
{
    return atomic_load_explicit(&s->missing_files, memory_order_relaxed) > 0;
}

bool
p2p_share_is_away(struct p2p_share *s)
{
    return p2p_share_is_gone(s) || p2p_share_is_emptied(s);
}

static void
tell_of_place(struct p2p_share *s)
{
    p2p_write_lock(&s->catalogue.lock);
    s->catalogue.totals.generation++;
    p2p_rw_unlock(&s->catalogue.lock);
    s->callback_due_ms = p2p_now_ms() + P2P_SHARE_DEBOUNCE_MS;
}

void
p2p_share_set_emptied(struct p2p_share *s, uint64_t files)
{
    uint64_t before = atomic_exchange(&s->missing_files, files);

    if (before == files)
        return;
    if (before == 0)
        p2p_log_warn("the shared folder %s is empty and had files before; they count "
                     "as away. Mount the disk or put the files back. If they were "
                     "deleted, run: p2p share confirm files=%llu",
                     p2p_root_path(s->root), (unsigned long long)files);
    else if (files == 0)
        p2p_log_info("the shared folder %s is no longer away", p2p_root_path(s->root));
    tell_of_place(s);
}

void
p2p_share_set_away_files(struct p2p_share *s, uint64_t files)
{
    if (atomic_exchange(&s->away_files, files) != files)
        tell_of_place(s);
}

void
p2p_share_look_at_place(struct p2p_share *s, uint64_t now_ms)
{
    bool is_away; /* from its path */

    if (now_ms < s->place_due_ms)
        return;
    s->place_due_ms = now_ms + (uint64_t)PLACE_LOOKS_QUIET * s->quiet_ms;
    is_away = !p2p_root_is_in_place(s->root);
    if (is_away == p2p_share_is_gone(s))
        return;
    if (is_away)
        p2p_log_warn("the shared folder %s is missing: its files are not shared until "
                     "it is back",
                     p2p_root_path(s->root));
    else
        p2p_log_info("the shared folder is back at %s", p2p_root_path(s->root));
    atomic_store(&s->is_gone, is_away);
    s->owner.is_lost = true; /* what happened meanwhile */
    tell_of_place(s);
}

void
p2p_share_totals(struct p2p_share *s, struct p2p_share_totals *out)
{
    p2p_read_lock(&s->catalogue.lock);
    *out = s->catalogue.totals;
    p2p_rw_unlock(&s->catalogue.lock);
    out->is_away = p2p_share_is_away(s);
    out->missing_files = atomic_load_explicit(&s->missing_files, memory_order_relaxed);
    out->away_files = atomic_load_explicit(&s->away_files, memory_order_relaxed);
    if (out->is_away)
        out->files = out->bytes = out->hashing_files = out->hashing_bytes = 0;
}
