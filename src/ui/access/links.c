#include "ui/access/links.h"

#include <string.h>

#include "p2p/bytes.h"
#include "p2p/lock.h"

void
ui_links_init(struct ui_links *links)
{
    memset(links, 0, sizeof(*links));
    p2p_mutex_init(&links->lock);
}

void
ui_links_clear(struct ui_links *links)
{
    p2p_mutex_clear(&links->lock);
}

enum p2p_err
ui_links_make(struct ui_links *links, uint64_t now_s, char secret[UI_LINK_LEN + 1])
{
    uint8_t raw[UI_LINK_LEN / 2];
    struct p2p_digest hash;
    size_t oldest = 0;
    enum p2p_err err;

    memset(secret, 0, UI_LINK_LEN + 1);
    if ((err = p2p_random(raw, sizeof(raw))) != P2P_OK ||
        (err = p2p_sha256(raw, sizeof(raw), &hash)) != P2P_OK)
        return err;
    p2p_hex_format(raw, sizeof(raw), secret);
    p2p_wipe(raw, sizeof(raw));
    p2p_lock(&links->lock);
    for (size_t i = 1; i < UI_LINKS_MAX; i++)
        if (links->at[i].expires_s < links->at[oldest].expires_s)
            oldest = i;
    links->at[oldest].hash = hash;
    links->at[oldest].expires_s = now_s + UI_LINK_LIFE_S;
    p2p_unlock(&links->lock);
    return P2P_OK;
}

bool
ui_links_take(struct ui_links *links, uint64_t now_s, const char *secret)
{
    uint8_t raw[UI_LINK_LEN / 2];
    struct p2p_digest hash;
    bool is_good = false;

    if (p2p_hex_parse(secret, raw, sizeof(raw)) != P2P_OK ||
        p2p_sha256(raw, sizeof(raw), &hash) != P2P_OK)
        return false;
    p2p_lock(&links->lock);
    for (size_t i = 0; i < UI_LINKS_MAX; i++)
        if (now_s < links->at[i].expires_s &&
            p2p_equal_ct(&links->at[i].hash, &hash, sizeof(hash))) {
            links->at[i].expires_s = 0;
            is_good = true;
        }
    p2p_unlock(&links->lock);
    return is_good;
}
