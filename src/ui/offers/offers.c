/* The beginning and the end of the offers and their thread. */
#include "ui/offers/offers.h"

#include <stdlib.h>

#include "p2p/clock.h"
#include "ui/offers/offers_internal.h"

struct ui_offers *
ui_offers_new(const struct ui_offers_parts *parts)
{
    struct ui_offers *os = calloc(1, sizeof(*os));

    if (os == NULL)
        return NULL;
    os->parts = *parts;
    p2p_mutex_init(&os->lock);
    p2p_cond_init(&os->woken);
    ui_offers_load(os);
    os->has_thread = pthread_create(&os->thread, NULL, ui_offers_main, os) == 0;
    return os;
}

void
ui_offers_free(struct ui_offers *os)
{
    if (os == NULL)
        return;
    p2p_lock(&os->lock);
    os->is_stopping = true;
    pthread_cond_signal(&os->woken);
    p2p_unlock(&os->lock);
    if (os->has_thread)
        pthread_join(os->thread, NULL);
    p2p_mutex_unshared(&os->lock);
    for (size_t i = 0; i < os->count; i++) {
        ui_offer_clear(os->at[i]);
        free(os->at[i]);
    }
    pthread_cond_destroy(&os->woken);
    p2p_mutex_clear(&os->lock);
    free(os);
}
