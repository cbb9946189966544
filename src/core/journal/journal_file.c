#include "core/journal/journal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "p2p/bytes.h"

static const uint8_t MAGIC[8] = {'P', '2', 'P', 'J', 'R', 'N', 'L', '2'};

/* root, size, chunk size, has layer, name length, name; then the layer; then the
 * SHA-256 */
#define HEAD_FIXED (P2P_DIGEST_LEN + 8 + 4 + 1 + 2)

void
p2p_boot_id_get(struct p2p_boot_id *out)
{
    char text[37], hex[33];
    size_t used = 0;
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : -1;

    *out = (struct p2p_boot_id){0};
    if (fd >= 0)
        close(fd);
    for (ssize_t i = 0; i < n && used < 32; i++)
        if (text[i] != '-')
            hex[used++] = text[i];
    hex[used] = '\0';
    if (p2p_hex_parse(hex, out->b, sizeof(out->b)) != P2P_OK)
        *out = (struct p2p_boot_id){0};
}

bool
p2p_boot_id_is_current(const struct p2p_boot_id *id)
{
    static const struct p2p_boot_id none;
    struct p2p_boot_id now;

    p2p_boot_id_get(&now);
    return memcmp(&now, &none, sizeof(now)) != 0 && memcmp(&now, id, sizeof(now)) == 0;
}

/* The last 32 bytes of a block are the SHA-256 of a salt and of the bytes before them.
 * The salt is the place of the block, so that one block cannot stand in for another. */
static enum p2p_err
block_sum(const uint8_t *block, size_t len, uint64_t place, struct p2p_digest *out)
{
    struct p2p_sha256 *sha = NULL;
    uint8_t salt[8];
    enum p2p_err err = p2p_sha256_new(&sha);

    p2p_store_u64(salt, place);
    if (err == P2P_OK)
        err = p2p_sha256_update(sha, salt, sizeof(salt));
    if (err == P2P_OK)
        err = p2p_sha256_update(sha, block, len - P2P_DIGEST_LEN);
    if (err == P2P_OK)
        err = p2p_sha256_peek(sha, out);
    p2p_sha256_free(sha);
    return err;
}

static enum p2p_err
block_seal(uint8_t *block, size_t len, uint64_t place)
{
    struct p2p_digest sum;
    enum p2p_err err = block_sum(block, len, place, &sum);

    if (err == P2P_OK)
        memcpy(block + len - P2P_DIGEST_LEN, sum.b, P2P_DIGEST_LEN);
    return err;
}

static enum p2p_err
block_check(const uint8_t *block, size_t len, uint64_t place)
{
    struct p2p_digest sum;
    enum p2p_err err = block_sum(block, len, place, &sum);

    if (err == P2P_OK &&
        memcmp(block + len - P2P_DIGEST_LEN, sum.b, sizeof(sum.b)) != 0)
        err = P2P_ERR_CORRUPT;
    return err;
}

static enum p2p_err
stamp_format(const struct journal_stamp *stamp, uint8_t out[JOURNAL_SECTOR])
{
    struct p2p_wr wr;

    memset(out, 0, JOURNAL_SECTOR);
    p2p_wr_init(&wr, out, JOURNAL_SECTOR);
    p2p_wr_put_bytes(&wr, MAGIC, sizeof(MAGIC));
    p2p_wr_put_bytes(&wr, stamp->boot.b, sizeof(stamp->boot.b));
    p2p_wr_put_u64(&wr, stamp->inode);
    p2p_wr_put_u64(&wr, stamp->head_len);
    return block_seal(out, JOURNAL_SECTOR, 0);
}

enum p2p_err
p2p_journal_stamp_read(int fd, struct journal_stamp *out)
{
    uint8_t block[JOURNAL_SECTOR], magic[sizeof(MAGIC)];
    struct stat st;
    struct p2p_rd rd;
    enum p2p_err err;

    *out = (struct journal_stamp){0};
    if (fstat(fd, &st) < 0)
        return p2p_err_from_errno(errno);
    if (st.st_size == 0)
        return P2P_ERR_NOT_FOUND;
    err = p2p_pread_full(fd, block, sizeof(block), 0);
    if (err == P2P_OK)
        err = block_check(block, sizeof(block), 0);
    if (err != P2P_OK)
        return err;
    p2p_rd_init(&rd, block, sizeof(block));
    p2p_rd_get_bytes(&rd, magic, sizeof(magic));
    p2p_rd_get_bytes(&rd, out->boot.b, sizeof(out->boot.b));
    out->inode = p2p_rd_get_u64(&rd);
    out->head_len = p2p_rd_get_u64(&rd);
    if (memcmp(magic, MAGIC, sizeof(MAGIC)) != 0 ||
        out->head_len % JOURNAL_SECTOR != 0 ||
        out->head_len > (uint64_t)st.st_size - JOURNAL_SECTOR)
        return P2P_ERR_CORRUPT;
    return P2P_OK;
}

enum p2p_err
p2p_journal_stamp_write(int fd, const struct journal_stamp *stamp)
{
    uint8_t block[JOURNAL_SECTOR];
    enum p2p_err err = stamp_format(stamp, block);

    return err == P2P_OK ? p2p_pwrite_full(fd, block, sizeof(block), 0) : err;
}

/* Fields of a head whose checksum was right; still checked, as it is a file like any
 * other. */
static enum p2p_err
head_parse(const uint8_t *head, size_t len, struct p2p_journal_info *info,
           struct p2p_digest **layer)
{
    struct p2p_rd rd;
    const uint8_t *name, *hashes = NULL;
    enum p2p_err err;

    p2p_rd_init(&rd, head, len);
    p2p_rd_get_bytes(&rd, info->root.b, sizeof(info->root.b));
    uint64_t size = p2p_rd_get_u64(&rd);
    uint32_t chunk_size = p2p_rd_get_u32(&rd);
    bool has_layer = p2p_rd_get_u8(&rd) != 0;
    uint16_t name_len = p2p_rd_get_u16(&rd);
    name = p2p_rd_get_ref(&rd, name_len);
    err = p2p_chunks_init(&info->geometry, size, chunk_size);
    if (err != P2P_OK || name == NULL || name_len > P2P_NAME_MAX)
        return P2P_ERR_CORRUPT;
    memcpy(info->name, name, name_len);
    info->name[name_len] = '\0';
    if (!has_layer || info->geometry.count == 0)
        return P2P_OK;
    if (info->geometry.count > len / P2P_DIGEST_LEN)
        return P2P_ERR_CORRUPT;
    hashes = p2p_rd_get_ref(&rd, (size_t)info->geometry.count * P2P_DIGEST_LEN);
    if (hashes == NULL)
        return P2P_ERR_CORRUPT;
    *layer = malloc((size_t)info->geometry.count * sizeof(**layer));
    if (*layer == NULL)
        return P2P_ERR_NOMEM;
    memcpy(*layer, hashes, (size_t)info->geometry.count * P2P_DIGEST_LEN);
    return P2P_OK;
}

enum p2p_err
p2p_journal_head_read(int fd, const struct journal_stamp *stamp,
                      struct p2p_journal_info *info, struct p2p_digest **layer)
{
    size_t len = (size_t)stamp->head_len;
    uint8_t *head = NULL;
    enum p2p_err err = P2P_ERR_CORRUPT;

    *info = (struct p2p_journal_info){0};
    *layer = NULL;
    if (len < HEAD_FIXED + P2P_DIGEST_LEN)
        goto out;
    head = malloc(len);
    if (head == NULL) {
        err = P2P_ERR_NOMEM;
        goto out;
    }
    err = p2p_pread_full(fd, head, len, JOURNAL_SECTOR);
    if (err == P2P_OK)
        err = block_check(head, len, 1);
    if (err == P2P_OK)
        err = head_parse(head, len - P2P_DIGEST_LEN, info, layer);
out:
    free(head);
    return err;
}

static size_t
round_up(size_t len)
{
    return (len + JOURNAL_SECTOR - 1) / JOURNAL_SECTOR * JOURNAL_SECTOR;
}

uint64_t
p2p_journal_page_count(const struct p2p_chunks *g)
{
    return (g->count + JOURNAL_PAGE_CHUNKS - 1) / JOURNAL_PAGE_CHUNKS;
}

static uint64_t
page_offset(const struct journal_stamp *stamp, uint64_t index)
{
    return JOURNAL_SECTOR + stamp->head_len + index * JOURNAL_SECTOR;
}

static enum p2p_err
page_format(uint64_t index, const struct journal_page *page,
            uint8_t out[JOURNAL_SECTOR])
{
    memcpy(out, page->written, JOURNAL_PAGE_BITS);
    memcpy(out + JOURNAL_PAGE_BITS, page->durable, JOURNAL_PAGE_BITS);
    return block_seal(out, JOURNAL_SECTOR, 2 + index);
}

enum p2p_err
p2p_journal_format_new(const struct p2p_journal_info *info,
                       const struct p2p_digest *layer, struct journal_stamp *stamp,
                       uint8_t **out, size_t *len)
{
    const struct p2p_chunks *g = &info->geometry;
    static const struct journal_page empty;
    size_t name_len = strlen(info->name);
    size_t layer_len = layer != NULL ? (size_t)g->count * P2P_DIGEST_LEN : 0;
    size_t head_len = round_up(HEAD_FIXED + name_len + layer_len + P2P_DIGEST_LEN);
    uint64_t pages = p2p_journal_page_count(g);
    enum p2p_err err;
    struct p2p_wr wr;

    *len = JOURNAL_SECTOR + head_len + (size_t)pages * JOURNAL_SECTOR;
    *out = calloc(1, *len);
    if (*out == NULL)
        return P2P_ERR_NOMEM;
    stamp->head_len = head_len;
    p2p_wr_init(&wr, *out + JOURNAL_SECTOR, head_len);
    p2p_wr_put_bytes(&wr, info->root.b, sizeof(info->root.b));
    p2p_wr_put_u64(&wr, g->size);
    p2p_wr_put_u32(&wr, g->chunk_size);
    p2p_wr_put_u8(&wr, layer != NULL);
    p2p_wr_put_u16(&wr, (uint16_t)name_len);
    p2p_wr_put_bytes(&wr, info->name, name_len);
    if (layer_len > 0)
        p2p_wr_put_bytes(&wr, layer, layer_len);
    err = stamp_format(stamp, *out);
    if (err == P2P_OK)
        err = block_seal(*out + JOURNAL_SECTOR, head_len, 1);
    for (uint64_t i = 0; i < pages && err == P2P_OK; i++)
        err = page_format(i, &empty, *out + page_offset(stamp, i));
    if (err != P2P_OK) {
        free(*out);
        *out = NULL;
    }
    return err;
}

enum p2p_err
p2p_journal_page_read(int fd, const struct journal_stamp *stamp, uint64_t index,
                      struct journal_page *out)
{
    uint8_t block[JOURNAL_SECTOR];
    enum p2p_err err =
        p2p_pread_full(fd, block, sizeof(block), page_offset(stamp, index));

    memset(out, 0, sizeof(*out));
    if (err == P2P_OK)
        err = block_check(block, sizeof(block), 2 + index);
    if (err != P2P_OK)
        return err;
    memcpy(out->written, block, JOURNAL_PAGE_BITS);
    memcpy(out->durable, block + JOURNAL_PAGE_BITS, JOURNAL_PAGE_BITS);
    return P2P_OK;
}

enum p2p_err
p2p_journal_page_write(int fd, const struct journal_stamp *stamp, uint64_t index,
                       const struct journal_page *page)
{
    uint8_t block[JOURNAL_SECTOR];
    enum p2p_err err = page_format(index, page, block);

    if (err != P2P_OK)
        return err;
    return p2p_pwrite_full(fd, block, sizeof(block), page_offset(stamp, index));
}
