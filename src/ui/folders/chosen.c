#include "ui/folders/chosen.h"

#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/crypto.h"
#include "p2p/lock.h"

struct selection {
    char id[UI_CHOSEN_ID_LEN + 1]; /* "": none */
    enum ui_folder folder;
    struct ui_picks paths;
    uint64_t kept_s;
};

P2P_MUTEX_KIND(ui_chosen_lock);
struct ui_chosen {
    struct ui_chosen_lock lock;
    struct selection at[UI_CHOSEN_MAX] P2P_GUARDED_BY(ui_chosen_lock);
    size_t next P2P_GUARDED_BY(ui_chosen_lock); /* takes the place of the oldest one */
};

struct ui_chosen *
ui_chosen_new(void)
{
    struct ui_chosen *chosen = calloc(1, sizeof(*chosen));

    if (chosen != NULL)
        p2p_mutex_init(&chosen->lock);
    return chosen;
}

void
ui_chosen_free(struct ui_chosen *chosen)
{
    if (chosen == NULL)
        return;
    p2p_mutex_unshared(&chosen->lock);
    for (size_t i = 0; i < UI_CHOSEN_MAX; i++)
        ui_picks_clear(&chosen->at[i].paths);
    p2p_mutex_clear(&chosen->lock);
    free(chosen);
}

/* ---- paths ---- */

enum p2p_err
ui_picks_add(struct ui_picks *paths, const char *path)
{
    size_t len = strlen(path) + 1;
    char *at;

    if (paths->count == UI_CHOSEN_PATHS_MAX)
        return P2P_ERR_TOO_LARGE;
    if ((at = realloc(paths->at, paths->len + len)) == NULL)
        return P2P_ERR_NOMEM;
    memcpy(at + paths->len, path, len);
    paths->at = at;
    paths->len += len;
    paths->count++;
    return P2P_OK;
}

const char *
ui_picks_next(const struct ui_picks *paths, const char *path)
{
    const char *next = path == NULL ? paths->at : path + strlen(path) + 1;

    return paths->count > 0 && next < paths->at + paths->len ? next : NULL;
}

void
ui_picks_clear(struct ui_picks *paths)
{
    free(paths->at);
    memset(paths, 0, sizeof(*paths));
}

/* ---- selections ---- */

enum p2p_err
ui_chosen_keep(struct ui_chosen *chosen, enum ui_folder folder, struct ui_picks *paths,
               uint64_t now_s, char id[UI_CHOSEN_ID_LEN + 1])
{
    uint8_t random[UI_CHOSEN_ID_LEN / 2];
    enum p2p_err err = p2p_random(random, sizeof(random));
    struct selection *s;

    id[0] = '\0';
    if (err != P2P_OK) {
        ui_picks_clear(paths);
        return err;
    }
    p2p_hex_format(random, sizeof(random), id);
    p2p_lock(&chosen->lock);
    s = &chosen->at[chosen->next];
    chosen->next = (chosen->next + 1) % UI_CHOSEN_MAX;
    ui_picks_clear(&s->paths);
    memcpy(s->id, id, sizeof(s->id));
    s->folder = folder;
    s->paths = *paths;
    s->kept_s = now_s;
    p2p_unlock(&chosen->lock);
    memset(paths, 0, sizeof(*paths));
    return P2P_OK;
}

static enum p2p_err
copy(const struct ui_picks *from, struct ui_picks *to)
{
    if ((to->at = malloc(from->len > 0 ? from->len : 1)) == NULL)
        return P2P_ERR_NOMEM;
    if (from->len > 0)
        memcpy(to->at, from->at, from->len);
    to->len = from->len;
    to->count = from->count;
    return P2P_OK;
}

enum p2p_err
ui_chosen_find(struct ui_chosen *chosen, const char *id, uint64_t now_s,
               enum ui_folder *folder, struct ui_picks *paths)
{
    enum p2p_err err = P2P_ERR_NOT_FOUND;

    memset(paths, 0, sizeof(*paths));
    if (strlen(id) != UI_CHOSEN_ID_LEN)
        return P2P_ERR_NOT_FOUND;
    p2p_lock(&chosen->lock);
    for (size_t i = 0; i < UI_CHOSEN_MAX; i++) {
        const struct selection *s = &chosen->at[i];
        if (strcmp(s->id, id) != 0 || now_s > s->kept_s + UI_CHOSEN_S)
            continue;
        *folder = s->folder;
        err = copy(&s->paths, paths);
    }
    p2p_unlock(&chosen->lock);
    return err;
}
