#include "discovery/registry/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "p2p/bytes.h"
#include "p2p/net.h"

/*
 * magic || items || u8 END || SHA-256 of all before.
 * item = u8 PEER || u64 heard (time of day) || u64 seq_until || u32 length || record
 *      | u8 SEQ || id[32] || u64 seq || u64 seq_until
 *      | u8 CLAIMS || id[32] || claims (record.h): after its PEER
 */
static const char magic[] = "p2p registry 1\n";

enum { ITEM_END, ITEM_PEER, ITEM_SEQ, ITEM_CLAIMS };

struct writer {
    FILE *file;
    struct p2p_sha256 *sha;
    uint64_t now_ms, now_s;
    enum p2p_err err;
};

static bool
put(struct writer *w, const void *data, size_t len)
{
    if (w->err == P2P_OK && fwrite(data, 1, len, w->file) != len)
        w->err = p2p_err_from_errno(errno);
    if (w->err == P2P_OK)
        w->err = p2p_sha256_update(w->sha, data, len);
    return w->err == P2P_OK;
}

/* Also true if the peer claims nothing. */
static bool
put_claims(struct writer *w, const struct registry_exported *p)
{
    uint8_t bytes[1 + P2P_DIGEST_LEN + RECORD_CLAIMS_MAX];
    struct p2p_wr wr;
    size_t len;

    if (!registry_has_claims(p))
        return true;
    p2p_wr_init(&wr, bytes, sizeof(bytes));
    p2p_wr_put_u8(&wr, ITEM_CLAIMS);
    p2p_wr_put_bytes(&wr, p->id.b, sizeof(p->id.b));
    record_put_claims(&wr, &p->about, p->addresses);
    return p2p_wr_end(&wr, &len) == P2P_OK && put(w, bytes, len);
}

static bool
put_peer(void *arg, const struct registry_exported *p)
{
    struct writer *w = arg;
    uint8_t head[64];
    struct p2p_wr wr;
    size_t len;

    p2p_wr_init(&wr, head, sizeof(head));
    if (p->bytes != NULL) {
        uint64_t silent_ms = w->now_ms > p->heard_ms ? w->now_ms - p->heard_ms : 0;

        p2p_wr_put_u8(&wr, ITEM_PEER);
        p2p_wr_put_u64(&wr, w->now_s - silent_ms / 1000);
        p2p_wr_put_u64(&wr, p->seq_until_s);
        p2p_wr_put_u32(&wr, (uint32_t)p->len);
    } else {
        p2p_wr_put_u8(&wr, ITEM_SEQ);
        p2p_wr_put_bytes(&wr, p->id.b, sizeof(p->id.b));
        p2p_wr_put_u64(&wr, p->seq);
        p2p_wr_put_u64(&wr, p->seq_until_s);
    }
    return p2p_wr_end(&wr, &len) == P2P_OK && put(w, head, len) &&
           (p->bytes == NULL || (put(w, p->bytes, p->len) && put_claims(w, p)));
}

static enum p2p_err
write_all(struct registry *r, struct writer *w)
{
    uint8_t end = ITEM_END;
    struct p2p_digest digest;

    if (!put(w, magic, sizeof(magic) - 1))
        return w->err;
    if (!registry_export(r, put_peer, w))
        return w->err != P2P_OK ? w->err : P2P_ERR_NOMEM;
    if (!put(w, &end, 1) || (w->err = p2p_sha256_peek(w->sha, &digest)) != P2P_OK ||
        !put(w, digest.b, sizeof(digest.b)))
        return w->err;
    if (fflush(w->file) != 0 || fsync(fileno(w->file)) != 0)
        return p2p_err_from_errno(errno);
    return P2P_OK;
}

/* Flush the folder, so that the new name survives a power loss, too. */
static void
sync_folder(const char *path)
{
    char copy[PATH_MAX];
    int fd;

    snprintf(copy, sizeof(copy), "%s", path);
    if ((fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return;
    fsync(fd);
    close(fd);
}

/* Takes `fd`. */
static enum p2p_err
write_to(struct registry *r, int fd)
{
    struct writer w = {.now_ms = p2p_now_ms(), .now_s = p2p_time_s()};
    enum p2p_err err;

    if ((w.file = fdopen(fd, "wb")) == NULL) {
        close(fd);
        return P2P_ERR_NOMEM;
    }
    if ((err = p2p_sha256_new(&w.sha)) == P2P_OK)
        err = write_all(r, &w);
    if (fclose(w.file) != 0 && err == P2P_OK)
        err = p2p_err_from_errno(errno);
    p2p_sha256_free(w.sha);
    return err;
}

enum p2p_err
snapshot_write(struct registry *r, const char *path)
{
    char aside[PATH_MAX];
    enum p2p_err err;
    int fd;

    if (snprintf(aside, sizeof(aside), "%s.new", path) >= (int)sizeof(aside))
        return P2P_ERR_RANGE;
    fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return p2p_err_from_errno(errno);
    err = write_to(r, fd);
    if (err == P2P_OK && rename(aside, path) != 0)
        err = p2p_err_from_errno(errno);
    if (err == P2P_OK)
        sync_folder(path);
    else
        unlink(aside);
    return err;
}

enum p2p_err
snapshot_hand_over(struct registry *r, int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    enum p2p_err err;

    if (copy < 0)
        return p2p_err_from_errno(errno);
    if (ftruncate(copy, 0) != 0 || lseek(copy, 0, SEEK_SET) != 0) {
        err = p2p_err_from_errno(errno);
        close(copy);
        return err;
    }
    err = write_to(r, copy);
    if (err != P2P_OK)
        (void)!ftruncate(fd, 0);
    return err;
}

bool
snapshot_set_aside(const char *path, char *aside, size_t cap)
{
    return snprintf(aside, cap, "%s.damaged", path) < (int)cap &&
           rename(path, aside) == 0;
}

/* ---- loading ---- */

struct loader {
    struct registry *registry;
    uint64_t now_ms, now_s, ttl_ms;
    uint32_t count;
};

static void
take_record(struct loader *l, const struct record *rec, uint64_t heard_s)
{
    uint64_t silent_s = l->now_s > heard_s ? l->now_s - heard_s : 0;
    uint64_t silent_ms = silent_s * 1000, heard_ms, known_seq;

    if (silent_s > SNAPSHOT_AGE_MAX_S ||
        (rec->is_signed && rec->expires_at_s <= l->now_s))
        return;
    if (silent_ms > l->ttl_ms / 2)
        silent_ms = l->ttl_ms / 2;
    /* CLOCK_MONOTONIC starts at boot, which may be more recent than the time to
     * convert. */
    heard_ms = l->now_ms > silent_ms ? l->now_ms - silent_ms : 1;
    if (registry_put(l->registry, rec, heard_ms, &known_seq) == REGISTRY_OK)
        l->count++;
}

static enum p2p_err
load_peer(struct loader *l, struct p2p_rd *rd)
{
    uint64_t heard_s = p2p_rd_get_u64(rd), seq_until_s = p2p_rd_get_u64(rd);
    uint32_t len = p2p_rd_get_u32(rd);
    const uint8_t *bytes = p2p_rd_get_ref(rd, len);
    struct record rec;
    enum p2p_err err;

    if (bytes == NULL)
        return P2P_ERR_CORRUPT;
    if ((err = record_decode(bytes, len, &rec)) != P2P_OK)
        return err == P2P_ERR_MALFORMED ? P2P_ERR_CORRUPT : err;
    take_record(l, &rec, heard_s);
    if (rec.is_signed)
        registry_remember(l->registry, &rec.id, rec.seq, seq_until_s);
    record_clear(&rec);
    return P2P_OK;
}

static enum p2p_err
load_claims(struct loader *l, struct p2p_rd *rd)
{
    char addresses[RECORD_ADDRESSES_MAX + 1];
    struct p2p_about about;
    struct p2p_id id;

    p2p_rd_get_bytes(rd, id.b, sizeof(id.b));
    if (record_get_claims(rd, &about, addresses) != P2P_OK)
        return P2P_ERR_CORRUPT;
    registry_set_claims(l->registry, &id, &about, addresses);
    return P2P_OK;
}

static enum p2p_err
load_items(struct loader *l, struct p2p_rd *rd)
{
    enum p2p_err err = P2P_OK;
    struct p2p_id id;
    uint64_t seq;

    while (err == P2P_OK && !rd->failed) {
        switch (p2p_rd_get_u8(rd)) {
        case ITEM_PEER:
            err = load_peer(l, rd);
            break;
        case ITEM_SEQ:
            p2p_rd_get_bytes(rd, id.b, sizeof(id.b));
            seq = p2p_rd_get_u64(rd);
            registry_remember(l->registry, &id, seq, p2p_rd_get_u64(rd));
            break;
        case ITEM_CLAIMS:
            err = load_claims(l, rd);
            break;
        case ITEM_END:
            return p2p_rd_end(rd) == P2P_OK ? P2P_OK : P2P_ERR_CORRUPT;
        default:
            err = P2P_ERR_CORRUPT;
        }
    }
    return err != P2P_OK ? err : P2P_ERR_CORRUPT;
}

/* Checks the hash first: nothing is read from a damaged file. */
static enum p2p_err
check(const uint8_t *bytes, size_t len)
{
    struct p2p_digest digest;

    if (len < sizeof(magic) + sizeof(digest.b) ||
        memcmp(bytes, magic, sizeof(magic) - 1) != 0)
        return P2P_ERR_CORRUPT;
    len -= sizeof(digest.b);
    if (p2p_sha256(bytes, len, &digest) != P2P_OK)
        return P2P_ERR_CRYPTO;
    return memcmp(bytes + len, digest.b, sizeof(digest.b)) == 0 ? P2P_OK
                                                                : P2P_ERR_CORRUPT;
}

static enum p2p_err
map_open_file(int fd, uint8_t **bytes, size_t *len)
{
    struct stat st;
    void *map;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
        return P2P_ERR_CORRUPT;
    *len = (size_t)st.st_size;
    map = mmap(NULL, *len, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return P2P_ERR_NOMEM;
    *bytes = map;
    return P2P_OK;
}

static enum p2p_err
load_from(struct registry *r, int fd, uint64_t ttl_ms, uint32_t *count)
{
    struct loader l = {
        .registry = r, .now_ms = p2p_now_ms(), .now_s = p2p_time_s(), .ttl_ms = ttl_ms};
    size_t head = sizeof(magic) - 1, len = 0;
    uint8_t *bytes = NULL;
    struct p2p_rd rd;
    enum p2p_err err;

    if ((err = map_open_file(fd, &bytes, &len)) != P2P_OK)
        return err;
    if ((err = check(bytes, len)) == P2P_OK) {
        p2p_rd_init(&rd, bytes + head, len - head - P2P_DIGEST_LEN);
        err = load_items(&l, &rd);
    }
    munmap(bytes, len);
    *count = l.count;
    return err;
}

enum p2p_err
snapshot_load(struct registry *r, const char *path, uint64_t ttl_ms, uint32_t *count)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum p2p_err err;

    *count = 0;
    if (fd < 0)
        return errno == ENOENT ? P2P_ERR_NOT_FOUND : p2p_err_from_errno(errno);
    err = load_from(r, fd, ttl_ms, count);
    close(fd);
    return err;
}

enum p2p_err
snapshot_take_over(struct registry *r, int fd, uint64_t ttl_ms, uint32_t *count)
{
    enum p2p_err err;
    struct stat st;

    *count = 0;
    if (fstat(fd, &st) != 0)
        return p2p_err_from_errno(errno);
    if (st.st_size == 0)
        return P2P_ERR_NOT_FOUND;
    err = load_from(r, fd, ttl_ms, count);
    if (ftruncate(fd, 0) != 0 && err == P2P_OK)
        err = p2p_err_from_errno(errno);
    return err;
}
