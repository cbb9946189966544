/* What each registry knows, and the difference to what is shared now. */
#include <stdlib.h>
#include <string.h>

#include "core/registry/discovery_internal.h"

/* Size of an entry's JSON in addition to its name: digests, numbers, keys. A name
 * appears twice in a full registration, and escaping may double it. */
enum { ENTRY_BYTES = 300, NAME_FACTOR = 4 };

static size_t
cost(const char *name)
{
    return ENTRY_BYTES + NAME_FACTOR * strlen(name);
}

static bool
is_same(const struct p2p_reg_file *a, const struct p2p_reg_file *b)
{
    return a->size == b->size && a->version == b->version && a->mtime_s == b->mtime_s &&
           a->sha256_known == b->sha256_known &&
           memcmp(&a->root, &b->root, sizeof(a->root)) == 0 &&
           (!a->sha256_known || memcmp(&a->sha256, &b->sha256, sizeof(a->sha256)) == 0);
}

enum p2p_err
p2p_reg_diff_make(const struct p2p_reg_state *state, const struct p2p_reg_file *files,
                  size_t count, size_t budget_bytes, struct p2p_reg_diff *out)
{
    size_t old = 0, new = 0, used = 0;

    *out = (struct p2p_reg_diff){0};
    out->removed = calloc(state->count + 1, sizeof(*out->removed));
    out->added = calloc(count + 1, sizeof(*out->added));
    if (out->removed == NULL || out->added == NULL)
        return P2P_ERR_NOMEM;
    while ((old < state->count || new < count) && used < budget_bytes) {
        int order = old == state->count ? 1
                    : new == count      ? -1
                                        : strcmp(state->at[old].name, files[new].name);
        if (order < 0) {
            used += cost(state->at[old].name);
            out->removed[out->removed_count++] = state->at[old++].name;
        } else if (order > 0 || !is_same(&state->at[old].file, &files[new])) {
            used += cost(files[new].name);
            out->added[out->added_count++] = &files[new ++];
            old += order == 0; /* adding an entry again replaces it */
        } else {
            old++;
            new ++;
        }
    }
    out->complete = old == state->count && new == count;
    return P2P_OK;
}

void
p2p_reg_diff_clear(struct p2p_reg_diff *diff)
{
    free(diff->removed);
    free(diff->added);
    *diff = (struct p2p_reg_diff){0};
}

static enum p2p_err
append(struct p2p_reg_state *state, const struct p2p_reg_file *file)
{
    struct p2p_reg_have *have = &state->at[state->count];

    have->name = strdup(file->name);
    if (have->name == NULL)
        return P2P_ERR_NOMEM;
    have->file = *file;
    have->file.name = have->name;
    state->count++;
    return P2P_OK;
}

/* True if this is the next of the sorted removed names; then moves on. */
static bool
take_removed(const struct p2p_reg_diff *diff, size_t *removed, const char *name)
{
    if (*removed == diff->removed_count || strcmp(diff->removed[*removed], name) != 0)
        return false;
    (*removed)++;
    return true;
}

enum p2p_err
p2p_reg_state_apply(struct p2p_reg_state *state, const struct p2p_reg_diff *diff)
{
    struct p2p_reg_state next = {0};
    size_t old = 0, added = 0, removed = 0;
    enum p2p_err err = P2P_OK;

    next.at = calloc(state->count + diff->added_count + 1, sizeof(*next.at));
    if (next.at == NULL)
        return P2P_ERR_NOMEM;
    while (err == P2P_OK && (old < state->count || added < diff->added_count)) {
        int order = old == state->count ? 1
                    : added == diff->added_count
                        ? -1
                        : strcmp(state->at[old].name, diff->added[added]->name);
        if (order >= 0) {
            err = append(&next, diff->added[added++]);
            old += order == 0;
        } else if (take_removed(diff, &removed, state->at[old].name)) {
            old++;
        } else {
            err = append(&next, &state->at[old++].file);
        }
    }
    p2p_reg_state_clear(err == P2P_OK ? state : &next);
    if (err == P2P_OK)
        *state = next;
    return err;
}

void
p2p_reg_state_clear(struct p2p_reg_state *state)
{
    for (size_t i = 0; i < state->count; i++)
        free(state->at[i].name);
    free(state->at);
    *state = (struct p2p_reg_state){0};
}
