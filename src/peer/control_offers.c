#include "peer/control_offers.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/link.h"
#include "p2p/name.h"
#include "p2p/public_url.h"
#include "p2p/tree.h"
#include "peer/control.h"
#include "peer/server/server.h"

enum { UPLOADS_LOOKED_AT = 1024, LIFETIME_MAX_S = 366 * 24 * 3600 };

static const char *
text_of(const cJSON *request, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(request, name));
}

static bool
hex_of(const cJSON *request, const char *name, void *out, size_t len)
{
    const char *text = text_of(request, name);

    return text != NULL && p2p_hex_parse(text, out, len) == P2P_OK;
}

static bool
number_of(const cJSON *request, uint32_t *out)
{
    uint8_t b[4];

    if (!hex_of(request, "offer", b, sizeof(b)))
        return false;
    *out = p2p_load_u32(b);
    return true;
}

enum p2p_err
control_offer_begin(void *arg, const cJSON *request, cJSON *answer, char *why,
                    size_t cap)
{
    const struct control_view *view = arg;
    uint32_t number;

    (void)why, (void)cap;
    if (!number_of(request, &number))
        return P2P_ERR_MALFORMED;
    cJSON_AddStringToObject(answer, "peer_id", p2p_identity_id_hex(view->identity));
    cJSON_AddNumberToObject(answer, "port", view->port);
    return offers_begin(view->offers, number);
}

/* ---- a file ---- */

static bool
read_whole(int fd, void *out, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, (char *)out + done, len - done, (off_t)done);
        if (n <= 0 && !(n < 0 && errno == EINTR))
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* The hashes must fold to the root: then what is served is what was announced. */
static enum p2p_err
read_layer(int fd, struct offers_file *file)
{
    size_t count = (size_t)file->entry.geometry.count;

    if (count == 0)
        return P2P_OK;
    if (count > OFFERS_LAYERS_MAX / sizeof(*file->layer))
        return P2P_ERR_TOO_LARGE;
    if ((file->layer = calloc(count, sizeof(*file->layer))) == NULL)
        return P2P_ERR_NOMEM;
    if (!read_whole(fd, file->layer, count * sizeof(*file->layer)))
        return P2P_ERR_MALFORMED;
    return p2p_tree_check_layer(&file->entry.geometry, file->layer, &file->entry.root);
}

/* A regular file that is open for reading, and is as it was hashed. */
static enum p2p_err
check_file(int fd, const cJSON *request, struct offers_file *file)
{
    const char *mtime = text_of(request, "mtime_ns");
    int flags = fcntl(fd, F_GETFL);
    uint64_t mtime_ns;

    if (flags < 0 || fstat(fd, &file->hashed) != 0)
        return p2p_err_from_errno(errno);
    if ((flags & O_ACCMODE) == O_WRONLY || (flags & O_PATH) != 0 ||
        !S_ISREG(file->hashed.st_mode))
        return P2P_ERR_USAGE;
    if (mtime == NULL ||
        p2p_decimal_parse(mtime, strlen(mtime), UINT64_MAX, &mtime_ns) != P2P_OK)
        return P2P_ERR_MALFORMED;
    if ((uint64_t)file->hashed.st_mtim.tv_sec * 1000000000u +
            (uint64_t)file->hashed.st_mtim.tv_nsec !=
        mtime_ns)
        return P2P_ERR_FILE_CHANGED;
    return P2P_OK;
}

static enum p2p_err
read_file(const cJSON *request, const int *files, size_t count,
          struct offers_file *file)
{
    const cJSON *chunk = cJSON_GetObjectItemCaseSensitive(request, "chunk_size");
    enum p2p_err err;

    if (count != 2 || !cJSON_IsNumber(chunk) || chunk->valuedouble < 1 ||
        chunk->valuedouble > UINT32_MAX ||
        !hex_of(request, "root", file->entry.root.b, sizeof(file->entry.root.b)) ||
        !hex_of(request, "sha256", file->entry.sha256.b, sizeof(file->entry.sha256.b)))
        return P2P_ERR_MALFORMED;
    file->fd = files[0];
    file->entry.sha256_known = true;
    file->entry.version = 1;
    if ((err = check_file(files[0], request, file)) != P2P_OK)
        return err;
    file->entry.mtime_s = (uint64_t)file->hashed.st_mtim.tv_sec;
    err = p2p_chunks_init(&file->entry.geometry, (uint64_t)file->hashed.st_size,
                          (uint64_t)chunk->valuedouble);
    return err == P2P_OK ? read_layer(files[1], file) : err;
}

enum p2p_err
control_offer_file(void *arg, const cJSON *request, const int *files, size_t count,
                   cJSON *answer, char *why, size_t cap)
{
    const struct control_view *view = arg;
    struct offers_file file = {.name = text_of(request, "name"), .fd = -1};
    enum p2p_err err = P2P_OK;
    uint32_t number;
    size_t len;

    (void)answer, (void)why, (void)cap;
    if (file.name == NULL || !number_of(request, &number))
        return P2P_ERR_MALFORMED;
    len = strlen(file.name);
    if (len == 0 || file.name[len - 1] != '/')
        err = read_file(request, files, count, &file);
    if (err == P2P_OK)
        err = offers_add(view->offers, number, &file);
    free(file.layer);
    return err;
}

/* ---- who gets it ---- */

static enum p2p_err
read_roots(const cJSON *array, struct p2p_digest *out, size_t *count)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, array)
    {
        const char *hex = cJSON_GetStringValue(item);
        if (hex == NULL || p2p_hex_parse(hex, out[*count].b, sizeof(out->b)) != P2P_OK)
            return P2P_ERR_MALFORMED;
        (*count)++;
    }
    return P2P_OK;
}

enum p2p_err
control_offer_allow(void *arg, const cJSON *request, cJSON *answer, char *why,
                    size_t cap)
{
    const struct control_view *view = arg;
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(request, "roots");
    struct p2p_digest *roots;
    uint32_t number;
    size_t count = 0;
    enum p2p_err err;

    (void)answer, (void)why, (void)cap;
    if (!cJSON_IsArray(array) || !number_of(request, &number))
        return P2P_ERR_MALFORMED;
    roots = calloc((size_t)cJSON_GetArraySize(array) + 1, sizeof(*roots));
    if (roots == NULL)
        return P2P_ERR_NOMEM;
    err = read_roots(array, roots, &count);
    if (err == P2P_OK)
        err = offers_allow(view->offers, number, roots, count);
    free(roots);
    return err;
}

enum p2p_err
control_offer_open(void *arg, const cJSON *request, cJSON *answer, char *why,
                   size_t cap)
{
    const struct control_view *view = arg;
    struct p2p_id peer;
    uint32_t number;
    enum p2p_err err;

    (void)answer, (void)why, (void)cap;
    if (!number_of(request, &number) ||
        !hex_of(request, "peer", peer.b, sizeof(peer.b)))
        return P2P_ERR_MALFORMED;
    err = offers_open(view->offers, number, &peer);
    /* It may be connected already, and see more from now on. */
    if (err == P2P_OK)
        server_recheck(view->server);
    return err;
}

/* ---- its link ---- */

static uint64_t
limit_of(const cJSON *request, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(request, name);

    return cJSON_IsNumber(value) && value->valuedouble >= 0
               ? (uint64_t)value->valuedouble
               : LINKS_NO_LIMIT;
}

/* This machine alone: no program makes the peer call others. */
static bool
read_near(const cJSON *request, struct links_entry *out)
{
    const char *near = text_of(request, "near");
    struct p2p_addr addr;

    if (near == NULL)
        return true;
    if (strlen(near) >= sizeof(out->near) || strncmp(near, "http://", 7) != 0 ||
        !p2p_url_host(near, &addr) || !p2p_addr_is_loopback(&addr))
        return false;
    strcpy(out->near, near);
    return true;
}

static enum p2p_err
read_link(const cJSON *request, struct links_entry *out)
{
    const char *secret = text_of(request, "secret"), *pin = text_of(request, "pin");
    const char *title = text_of(request, "title");
    uint64_t lifetime_s = limit_of(request, "lifetime");
    struct p2p_link_secret parsed;
    enum p2p_err err;

    memset(out, 0, sizeof(*out));
    if (secret == NULL || p2p_link_parse(secret, &parsed) != P2P_OK ||
        lifetime_s > LIFETIME_MAX_S || title == NULL || strlen(title) > LINKS_TITLE_MAX)
        return P2P_ERR_MALFORMED;
    strcpy(out->title, title);
    if (!read_near(request, out))
        return P2P_ERR_MALFORMED;
    out->expires_s = p2p_time_s() + lifetime_s;
    out->uses_left = limit_of(request, "uses");
    out->bytes_left = limit_of(request, "bytes");
    err = p2p_link_derive(&parsed, &out->keys);
    p2p_wipe(&parsed, sizeof(parsed));
    out->has_pin = pin != NULL;
    return err == P2P_OK && pin != NULL ? p2p_link_pin_of(&out->keys, pin, &out->pin)
                                        : err;
}

/* Guests of the link get the files of the offer. */
enum p2p_err
control_offer_link(void *arg, const cJSON *request, cJSON *answer, char *why,
                   size_t cap)
{
    const struct control_view *view = arg;
    struct links_entry entry;
    uint32_t number;
    enum p2p_err err;

    (void)why, (void)cap;
    if (!number_of(request, &number))
        return P2P_ERR_MALFORMED;
    err = read_link(request, &entry);
    entry.owner = number;
    if (err == P2P_OK)
        err = offers_open(view->offers, number, &entry.keys.guest);
    if (err == P2P_OK)
        err = links_add(view->links, &entry);
    if (err == P2P_OK) /* older peers do not know it */
        cJSON_AddBoolToObject(answer, "near", entry.near[0] != '\0');
    p2p_wipe(&entry, sizeof(entry));
    return err;
}

static void
put_link(cJSON *answer, const struct links_counts *counts)
{
    cJSON *object = cJSON_AddObjectToObject(answer, "link");

    cJSON_AddNumberToObject(object, "uses", (double)counts->uses);
    cJSON_AddNumberToObject(object, "done", (double)counts->done);
}

static void
put_upload(cJSON *array, const struct upload *upload, size_t prefix)
{
    cJSON *object = cJSON_CreateObject();
    char hex[P2P_ID_HEX_LEN + 1];

    p2p_hex_format(upload->peer.b, sizeof(upload->peer.b), hex);
    cJSON_AddStringToObject(object, "peer_id", hex);
    cJSON_AddStringToObject(object, "name", upload->name + prefix);
    cJSON_AddNumberToObject(object, "size", (double)upload->size);
    cJSON_AddNumberToObject(object, "sent", (double)upload->sent);
    cJSON_AddNumberToObject(object, "speed", (double)upload->speed);
    cJSON_AddBoolToObject(object, "running", upload->ended_s == 0);
    cJSON_AddItemToArray(array, object);
}

enum p2p_err
control_offer_status(void *arg, const cJSON *request, cJSON *answer, char *why,
                     size_t cap)
{
    const struct control_view *view = arg;
    struct links_counts counts;
    struct upload *list;
    char prefix[P2P_NAME_SENT_LEN + 1];
    uint32_t number;
    enum p2p_err err;

    (void)why, (void)cap;
    if (!number_of(request, &number))
        return P2P_ERR_MALFORMED;
    if ((err = offers_renew(view->offers, number)) != P2P_OK)
        return err;
    if (links_count(view->links, number, &counts))
        put_link(answer, &counts);
    if ((list = calloc(UPLOADS_LOOKED_AT, sizeof(*list))) == NULL)
        return P2P_ERR_NOMEM;
    p2p_name_sent(number, prefix);
    size_t n = uploads_list(view->uploads, list, UPLOADS_LOOKED_AT, p2p_now_ms());
    cJSON *array = cJSON_AddArrayToObject(answer, "uploads");
    for (size_t i = 0; i < n; i++)
        if (strncmp(list[i].name, prefix, P2P_NAME_SENT_LEN) == 0)
            put_upload(array, &list[i], P2P_NAME_SENT_LEN);
    free(list);
    return P2P_OK;
}

enum p2p_err
control_offer_end(void *arg, const cJSON *request, cJSON *answer, char *why, size_t cap)
{
    const struct control_view *view = arg;
    uint32_t number;

    (void)answer, (void)why, (void)cap;
    if (!number_of(request, &number))
        return P2P_ERR_MALFORMED;
    (void)links_remove(view->links, number);
    if (!offers_end(view->offers, number))
        return P2P_ERR_NOT_FOUND;
    server_recheck(view->server);
    return P2P_OK;
}
