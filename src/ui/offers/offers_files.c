/* The files of an offer, as others see them. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "ui/folders/listing.h"
#include "ui/offers/offers_internal.h"

/* The name as the receiver gets it: a folder that is sent keeps its own name, and not
 * those of the folders it is in. */
static const char *
outer_name(const char *name, const char *wish, size_t len)
{
    size_t start = len;

    if (start > 0 && wish[start - 1] == '/')
        start--;
    while (start > 0 && wish[start - 1] != '/')
        start--;
    return name + start;
}

static enum p2p_err
add_file(struct ui_offer_files *out, const struct ui_file *file, const char *shown)
{
    struct p2p_offer_file *grown;

    if (out->count >= P2P_OFFER_ITEMS_MAX)
        return P2P_ERR_TOO_LARGE;
    grown = realloc(out->at, (out->count + 1) * sizeof(*grown));
    if (grown == NULL)
        return P2P_ERR_NOMEM;
    out->at = grown;
    grown[out->count] = (struct p2p_offer_file){
        .name = strdup(shown), .size = file->size, .root = file->root};
    if (grown[out->count].name == NULL)
        return P2P_ERR_NOMEM;
    out->count++;
    out->size += file->size;
    out->is_ready = out->is_ready && file->state == UI_FILE_READY;
    return P2P_OK;
}

static enum p2p_err
add_wish(const struct ui_listing *listing, const char *wish, struct ui_offer_files *out)
{
    size_t len = strlen(wish), before = out->count;
    bool is_folder = len > 0 && wish[len - 1] == '/';
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < listing->count && err == P2P_OK; i++) {
        const struct ui_file *file = &listing->files[i];
        if (is_folder ? strncmp(file->name, wish, len) == 0
                      : strcmp(file->name, wish) == 0)
            err = add_file(out, file, outer_name(file->name, wish, len));
    }
    return err == P2P_OK && out->count == before ? P2P_ERR_NOT_FOUND : err;
}

enum p2p_err
ui_offer_files_find(struct ui_offers *os, const char *names, struct ui_offer_files *out)
{
    cJSON *array = cJSON_Parse(names);
    const struct ui_listing *listing;
    const cJSON *item;
    enum p2p_err err = ui_listing_get(os->parts.folders, UI_SHARED, &listing);

    *out = (struct ui_offer_files){.is_ready = true};
    if (err == P2P_OK) {
        cJSON_ArrayForEach(item, array)
        {
            const char *wish = cJSON_GetStringValue(item);
            if (err == P2P_OK && wish != NULL)
                err = add_wish(listing, wish, out);
        }
        ui_listing_release(listing);
    }
    cJSON_Delete(array);
    return err;
}

void
ui_offer_files_clear(struct ui_offer_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free((void *)(uintptr_t)files->at[i].name);
    free(files->at);
    files->at = NULL;
    files->count = 0;
}
