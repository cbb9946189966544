#include "ui/folders/thumbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/offload.h"
#include "p2p/bytes.h"
#include "p2p/io.h"
#include "ui/folders/place.h"
#include "ui/pictures/cache.h"
#include "ui/pictures/helper.h"
#include "ui/pictures/picture.h"
#include "ui/reply/refuse.h"

#define SIDE_DEFAULT 256u

struct ui_thumbs {
    int helper;
    struct ui_picture_cache *cache;
};

struct ui_thumbs *
ui_thumbs_new(int helper)
{
    struct ui_thumbs *thumbs = calloc(1, sizeof(*thumbs));

    if (thumbs == NULL || (thumbs->cache = ui_picture_cache_new()) == NULL) {
        free(thumbs);
        return NULL;
    }
    thumbs->helper = helper;
    return thumbs;
}

void
ui_thumbs_free(struct ui_thumbs *thumbs)
{
    if (thumbs != NULL)
        ui_picture_cache_free(thumbs->cache);
    free(thumbs);
}

static bool
parse_side(struct http_request *req, unsigned *side)
{
    const char *text = http_query(req, "size");
    uint64_t value = SIDE_DEFAULT;

    if (text != NULL &&
        (p2p_decimal_parse(text, strlen(text), UI_PICTURE_SIDE_MAX, &value) != P2P_OK ||
         value < UI_PICTURE_SIDE_MIN)) {
        http_fail(req, 400, "bad_parameter", "size must be a number from %u to %u",
                  UI_PICTURE_SIDE_MIN, UI_PICTURE_SIDE_MAX);
        return false;
    }
    *side = (unsigned)value;
    return true;
}

/* The content of a file without a known root, as far as it can be told without reading
 * it. */
static struct p2p_digest
mark_of(const struct stat *st)
{
    struct p2p_digest mark;

    p2p_store_u64(mark.b, st->st_dev);
    p2p_store_u64(mark.b + 8, st->st_ino);
    p2p_store_u64(mark.b + 16, (uint64_t)st->st_size);
    p2p_store_u64(mark.b + 24, (uint64_t)st->st_mtim.tv_sec * 1000000000u +
                                   (uint64_t)st->st_mtim.tv_nsec);
    return mark;
}

/* From the cache, or made now. NULL: answered. */
static uint8_t *
get(struct http_request *req, struct ui_thumbs *thumbs, int fd,
    const struct ui_picture_key *key, size_t *len)
{
    enum p2p_err err = P2P_ERR_NOT_FOUND;
    uint8_t *picture;

    if (!ui_picture_cache_get(thumbs->cache, key, &picture, len)) {
        err = ui_helper_ask(thumbs->helper, fd, key->side, &picture, len);
        if (err == P2P_OK || err == P2P_ERR_NOT_FOUND)
            ui_picture_cache_put(thumbs->cache, key, picture, *len);
    }
    if (picture == NULL)
        ui_fail(req, err,
                err == P2P_ERR_NOT_FOUND ? "there is no picture of this file" : NULL);
    return picture;
}

/* Takes `fd`. `is_lasting`: the address names a content, not a file. */
static void
reply(struct http_request *req, struct ui_thumbs *thumbs, int fd,
      const struct ui_picture_key *key, bool is_lasting)
{
    char tag[2 * P2P_DIGEST_LEN + 16], hex[2 * P2P_DIGEST_LEN + 1];
    uint8_t *picture;
    size_t len;

    p2p_hex_format(key->of.b, sizeof(key->of.b), hex);
    snprintf(tag, sizeof(tag), "%s-%u", hex, key->side);
    if (!http_not_modified(req, tag) &&
        (picture = get(req, thumbs, fd, key, &len)) != NULL) {
        http_set_header(req, "Cache-Control",
                        is_lasting ? "private, max-age=31536000, immutable"
                                   : "private, no-cache");
        http_reply(req, 200, "image/jpeg", (const char *)picture, len);
        free(picture);
    }
    close(fd);
}

static bool
open_file(struct http_request *req, const struct ui_folders *folders,
          enum ui_folder folder, const char *name, int *fd, struct stat *st)
{
    struct ui_spot at;
    enum p2p_err err;

    if (!ui_check_spot(req, folders, folder, name, &at))
        return false;
    if ((err = p2p_root_open_file(at.root, at.name, fd, st)) == P2P_OK)
        return true;
    ui_fail(req, err, "there is no such file");
    return false;
}

void
ui_thumbs_handle_root(struct http_request *req, void *arg)
{
    struct ui_folders *folders = arg;
    const char *hex = http_param(req, "root");
    struct p2p_share_entry *e;
    struct ui_picture_key key;
    struct stat st;
    int fd;

    if (!parse_side(req, &key.side))
        return;
    if (hex == NULL || p2p_hex_parse(hex, key.of.b, sizeof(key.of.b)) != P2P_OK) {
        http_fail(req, 400, "bad_parameter", "the root must be 64 hex digits");
        return;
    }
    if (http_offload(req))
        return;
    e = malloc(sizeof(*e));
    if (e == NULL || p2p_shares_find_root(folders->shares, &key.of, e) != P2P_OK)
        ui_fail(req, P2P_ERR_NOT_FOUND, "there is no shared file with this content");
    else if (!open_file(req, folders, UI_SHARED, e->name, &fd, &st))
        ; /* answered */
    else if (e->geometry.size == (uint64_t)st.st_size &&
             (int64_t)e->mtime_s == st.st_mtime)
        reply(req, folders->thumbs, fd, &key, true);
    else { /* another content now, which will have another root */
        close(fd);
        ui_fail(req, P2P_ERR_NOT_FOUND, "the file is being read again");
    }
    free(e);
}

void
ui_thumbs_handle_path(struct http_request *req, void *arg)
{
    struct ui_folders *folders = arg;
    const char *of = http_query(req, "of"), *path = http_query(req, "path");
    enum ui_folder folder =
        of != NULL && strcmp(of, "downloads") == 0 ? UI_DOWNLOADS : UI_SHARED;
    struct ui_picture_key key;
    struct stat st;
    int fd;

    if (!parse_side(req, &key.side))
        return;
    if (of == NULL || (folder == UI_SHARED && strcmp(of, "shared") != 0)) {
        http_fail(req, 400, "bad_parameter", "\"of\" must be shared or downloads");
        return;
    }
    if (!ui_check_name(req, path) || http_offload(req) ||
        !open_file(req, folders, folder, path, &fd, &st))
        return;
    key.of = mark_of(&st);
    reply(req, folders->thumbs, fd, &key, false);
}
