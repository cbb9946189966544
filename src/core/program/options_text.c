/* The texts of options, which live as long as the options, and where each was given. */
#include <stdlib.h>
#include <string.h>

#include "core/program/options_internal.h"

struct p2p_options_kept {
    struct p2p_options_kept *next;
    char at[];
};

/* Where a value was given. */
struct p2p_options_place {
    struct p2p_options_place *next;
    const char *value; /* as the target has it */
    char shown[];
};

char *
p2p_options_keep(struct p2p_options_text *text, const char *from, size_t len)
{
    struct p2p_options_kept *kept = malloc(sizeof(*kept) + len + 1);

    if (kept == NULL)
        return NULL;
    memcpy(kept->at, from, len);
    kept->at[len] = '\0';
    kept->next = text->kept;
    text->kept = kept;
    return kept->at;
}

void
p2p_options_free(struct p2p_options_text *text)
{
    struct p2p_options_kept *kept = text != NULL ? text->kept : NULL;
    struct p2p_options_place *place = text != NULL ? text->places : NULL;

    while (kept != NULL) {
        struct p2p_options_kept *next = kept->next;
        free(kept);
        kept = next;
    }
    while (place != NULL) {
        struct p2p_options_place *next = place->next;
        free(place);
        place = next;
    }
    free(text);
}

enum p2p_err
p2p_options_remember_place(struct p2p_options_text *text, const char *value,
                           const char *shown)
{
    size_t size = strlen(shown) + 1;
    struct p2p_options_place *place = malloc(sizeof(*place) + size);

    if (place == NULL)
        return P2P_ERR_NOMEM;
    memcpy(place->shown, shown, size);
    place->value = value;
    place->next = text->places;
    text->places = place;
    return P2P_OK;
}

const char *
p2p_options_place(const struct p2p_options_text *text, const char *value)
{
    for (const struct p2p_options_place *place = text->places; place != NULL;
         place = place->next)
        if (place->value == value)
            return place->shown;
    return "the default";
}

enum p2p_log_level
p2p_options_log_level(const struct p2p_options_text *text)
{
    return text->level;
}

enum p2p_log_format
p2p_options_log_format(const struct p2p_options_text *text)
{
    return text->format;
}

const char *
p2p_options_config(const struct p2p_options_text *text)
{
    return text->config;
}
