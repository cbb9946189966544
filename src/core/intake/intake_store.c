/* The files that guests bring: private while they are incomplete, then public. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/intake/intake_internal.h"
#include "p2p/clock.h"
#include "p2p/io.h"
#include "p2p/log.h"

#define SUFFIX            ".guest"
#define SWEEP_AGE_S       (8 * 24 * 3600) /* more than the life of such a link */
#define KEEP_FREE_PERCENT 5               /* of the disk, at most */
#define MTIME_MAX_S       (1ull << 40)

void
p2p_intake_sweep(const struct p2p_root *root)
{
    p2p_root_sweep_private(root, SUFFIX, (time_t)(p2p_time_s() - SWEEP_AGE_S));
}

/* ---- which file ---- */

static bool
is_same(const struct p2p_guest_id *a, const struct p2p_guest_id *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static struct intake_part *
find_part(struct p2p_intake *in, const struct p2p_guest_id *guest,
          const struct p2p_have *have, const char *name) P2P_REQUIRES(intake_lock)
{
    for (size_t i = 0; i < in->part_count; i++) {
        struct intake_part *part = in->parts[i];
        if (part->size == have->size && part->mtime_s == have->mtime_s &&
            is_same(&part->guest, guest) && strcmp(part->name, name) == 0)
            return part;
    }
    return NULL;
}

static struct intake_guest *
find_guest(struct p2p_intake *in, const struct p2p_guest_id *id)
    P2P_REQUIRES(intake_lock)
{
    for (size_t i = 0; i < in->met_count; i++)
        if (is_same(&in->met[i].id, id))
            return &in->met[i];
    return NULL;
}

/* A use is one guest that brings something; the same guest may come again. */
static enum p2p_err
use(struct p2p_intake *in, const struct p2p_guest_id *id, bool *is_new)
    P2P_REQUIRES(intake_lock)
{
    *is_new = false;
    if (find_guest(in, id) != NULL)
        return P2P_OK;
    if (in->uses_left == 0)
        return P2P_ERR_NOT_ALLOWED;
    if (in->uses_left != P2P_INTAKE_NO_LIMIT)
        in->uses_left--;
    if (in->met_count == INTAKE_GUESTS_MET)
        memmove(&in->met[0], &in->met[1], --in->met_count * sizeof(in->met[0]));
    in->met[in->met_count++] = (struct intake_guest){.id = *id};
    in->uses++;
    *is_new = true;
    return P2P_OK;
}

void
p2p_intake_done(struct p2p_intake *in, const struct p2p_guest_id *id)
{
    struct intake_guest *guest;
    bool is_new = false;

    p2p_intake_drop_all(in, id);
    p2p_lock(&in->lock);
    if ((guest = find_guest(in, id)) != NULL && !guest->is_done) {
        guest->is_done = is_new = true;
        in->done++;
    }
    p2p_unlock(&in->lock);
    if (is_new)
        p2p_intake_tell(in, P2P_INTAKE_DONE, NULL, 0);
}

/* ---- room ---- */

static bool
has_room(const struct p2p_intake *in, uint64_t size)
{
    struct statvfs fs;

    if (fstatvfs(p2p_root_fd(in->opt.root), &fs) < 0)
        return false;
    uint64_t available = (uint64_t)fs.f_bavail * fs.f_frsize;
    uint64_t most = (uint64_t)fs.f_blocks / 100 * fs.f_frsize * KEEP_FREE_PERCENT;
    uint64_t keep = in->opt.keep_free < most ? in->opt.keep_free : most;
    if (fs.f_blocks == 0)
        return true;
    return available >= keep && available - keep >= size;
}

static void
take_bytes(struct p2p_intake *in, uint64_t size) P2P_REQUIRES(intake_lock)
{
    if (in->bytes_left != P2P_INTAKE_NO_LIMIT)
        in->bytes_left -= size;
}

static void
give_bytes(struct p2p_intake *in, uint64_t size) P2P_REQUIRES(intake_lock)
{
    if (in->bytes_left != P2P_INTAKE_NO_LIMIT)
        in->bytes_left += size;
}

/* ---- a new file ---- */

static void
free_part(struct intake_part *part)
{
    if (part == NULL)
        return;
    p2p_fd_close(&part->fd);
    p2p_sha256_free(part->sha);
    free(part->name);
    free(part->stored);
    free(part);
}

static struct intake_part *
new_part(const struct p2p_guest_id *guest, const struct p2p_have *have,
         const char *name)
{
    struct intake_part *part = calloc(1, sizeof(*part));

    if (part == NULL)
        return NULL;
    part->guest = *guest;
    part->size = have->size;
    part->mtime_s = have->mtime_s;
    part->fd = -1;
    part->name = strdup(name);
    if (part->name != NULL && p2p_sha256_new(&part->sha) == P2P_OK)
        return part;
    free_part(part);
    return NULL;
}

/* Counts the file, before anything is made on the disk. */
static enum p2p_err
admit(struct p2p_intake *in, struct intake_part *part, enum p2p_stored_result *result,
      bool *is_new) P2P_REQUIRES(intake_lock)
{
    enum p2p_err err = use(in, &part->guest, is_new);

    if (err != P2P_OK)
        return err;
    *result = P2P_STORED_OK;
    if (in->part_count == P2P_INTAKE_FILES_MAX ||
        in->incomplete == P2P_INTAKE_PARTS_MAX)
        *result = P2P_STORED_COUNT;
    else if (part->size > in->bytes_left)
        *result = P2P_STORED_ROOM;
    if (*result != P2P_STORED_OK)
        return P2P_OK;
    take_bytes(in, part->size);
    in->parts[in->part_count++] = part;
    in->incomplete++;
    snprintf(part->file, sizeof(part->file), "%016" PRIx64 "-%" PRIu64 SUFFIX,
             in->number, ++in->last);
    return P2P_OK;
}

static enum p2p_err
add_part(struct p2p_intake *in, struct intake_part *part,
         enum p2p_stored_result *result)
{
    bool is_new;
    enum p2p_err err;

    p2p_lock(&in->lock);
    err = admit(in, part, result, &is_new);
    p2p_unlock(&in->lock);
    if (err != P2P_OK || *result != P2P_STORED_OK) {
        free_part(part);
        return err;
    }
    if (is_new)
        p2p_intake_tell(in, P2P_INTAKE_GUEST, NULL, 0);
    err = p2p_root_open_private(in->opt.root, part->file, O_RDWR | O_CREAT | O_EXCL,
                                &part->fd);
    if (err == P2P_OK)
        return P2P_OK;
    p2p_log_warn("cannot write a file of a guest reason=\"%s\"", p2p_err_text(err));
    p2p_intake_drop(in, part);
    *result = P2P_STORED_DISK;
    return P2P_OK;
}

enum p2p_err
p2p_intake_take(struct p2p_intake *in, const struct p2p_guest_id *guest,
                const struct p2p_have *have, struct intake_part **out,
                enum p2p_stored_result *result)
{
    char name[P2P_NAME_MAX + 1];
    enum p2p_err err;

    *out = NULL;
    *result = P2P_STORED_NAME;
    if (p2p_name_usable(have->name.at, have->name.len, true, name) != P2P_OK)
        return P2P_OK;
    *result = P2P_STORED_ROOM;
    if (have->size > P2P_FILE_SIZE_MAX)
        return P2P_OK;
    p2p_lock(&in->lock);
    *out = find_part(in, guest, have, name);
    p2p_unlock(&in->lock);
    if (*out == NULL && !has_room(in, have->size))
        return P2P_OK;
    *result = P2P_STORED_OK;
    if (*out != NULL)
        return P2P_OK;
    *result = P2P_STORED_DISK;
    if ((*out = new_part(guest, have, name)) == NULL)
        return P2P_OK;
    err = add_part(in, *out, result);
    if (err != P2P_OK || *result != P2P_STORED_OK)
        *out = NULL;
    return err;
}

/* ---- bytes ---- */

enum p2p_err
p2p_intake_write(struct p2p_intake *in, struct intake_part *part, const void *bytes,
                 size_t len)
{
    enum p2p_err err = p2p_pwrite_full(part->fd, bytes, len, part->got);

    if (err == P2P_OK)
        err = p2p_sha256_update(part->sha, bytes, len);
    if (err != P2P_OK)
        return err;
    part->got += len;
    atomic_fetch_add(&in->received, len);
    return P2P_OK;
}

/* Keeps the time of the last change, as the guest tells it. */
static void
set_time(const struct intake_part *part)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                      {.tv_sec = (time_t)part->mtime_s}};

    if (part->mtime_s > 0 && part->mtime_s < MTIME_MAX_S)
        (void)futimens(part->fd, times);
}

static enum p2p_err
publish(struct p2p_intake *in, struct intake_part *part)
{
    char stored[P2P_NAME_MAX + 1];
    enum p2p_err err;

    set_time(part);
    if (fsync(part->fd) < 0)
        return p2p_err_from_errno(errno);
    err = p2p_root_publish(in->opt.root, part->file, part->name, P2P_CONFLICT_RENAME,
                           stored);
    if (err == P2P_OK && (part->stored = strdup(stored)) == NULL)
        err = P2P_ERR_NOMEM;
    return err;
}

static bool
is_of_name(enum p2p_err err)
{
    return err == P2P_ERR_NAME || err == P2P_ERR_TARGET_NAME ||
           err == P2P_ERR_IN_THE_WAY || err == P2P_ERR_OTHER_DISK;
}

enum p2p_stored_result
p2p_intake_finish(struct p2p_intake *in, struct intake_part *part,
                  const struct p2p_digest *sha256)
{
    struct p2p_digest own;
    enum p2p_err err = p2p_sha256_peek(part->sha, &own);

    if (err == P2P_OK && !p2p_equal_ct(own.b, sha256->b, sizeof(own.b))) {
        p2p_intake_drop(in, part);
        return P2P_STORED_HASH;
    }
    if (err == P2P_OK)
        err = publish(in, part);
    if (err != P2P_OK) {
        p2p_log_warn("cannot store a file of a guest reason=\"%s\"", p2p_err_text(err));
        p2p_intake_drop(in, part);
        return is_of_name(err) ? P2P_STORED_NAME : P2P_STORED_DISK;
    }
    p2p_fd_close(&part->fd);
    p2p_sha256_free(part->sha);
    part->sha = NULL;
    p2p_lock(&in->lock);
    in->incomplete--;
    in->files++;
    p2p_unlock(&in->lock);
    p2p_intake_tell(in, P2P_INTAKE_STORED, part->stored, part->size);
    return P2P_STORED_OK;
}

/* ---- the end of files ---- */

static struct intake_part *
take_out(struct p2p_intake *in, size_t i) P2P_REQUIRES(intake_lock)
{
    struct intake_part *part = in->parts[i];

    in->parts[i] = in->parts[--in->part_count];
    in->incomplete--;
    give_bytes(in, part->size);
    for (unsigned k = 0; k < in->session_count; k++)
        if (in->sessions[k].part == part)
            in->sessions[k].part = NULL;
    return part;
}

static void
remove_part(struct p2p_intake *in, struct intake_part *part)
{
    if (part->fd >= 0)
        (void)!p2p_root_unlink_private(in->opt.root, part->file);
    free_part(part);
}

void
p2p_intake_drop(struct p2p_intake *in, struct intake_part *part)
{
    p2p_lock(&in->lock);
    for (size_t i = 0; i < in->part_count; i++)
        if (in->parts[i] == part)
            (void)take_out(in, i);
    p2p_unlock(&in->lock);
    remove_part(in, part);
}

/* The next one that is incomplete; NULL: there is none. */
static struct intake_part *
next_incomplete(struct p2p_intake *in, const struct p2p_guest_id *guest)
{
    struct intake_part *found = NULL;

    p2p_lock(&in->lock);
    for (size_t i = 0; i < in->part_count && found == NULL; i++)
        if ((guest == NULL || is_same(&in->parts[i]->guest, guest)) &&
            in->parts[i]->stored == NULL)
            found = take_out(in, i);
    p2p_unlock(&in->lock);
    return found;
}

void
p2p_intake_drop_all(struct p2p_intake *in, const struct p2p_guest_id *guest)
{
    struct intake_part *part;

    while ((part = next_incomplete(in, guest)) != NULL)
        remove_part(in, part);
}

void
p2p_intake_forget(struct p2p_intake *in)
{
    p2p_intake_drop_all(in, NULL);
    p2p_mutex_unshared(&in->lock);
    for (size_t i = 0; i < in->part_count; i++)
        free_part(in->parts[i]);
    in->part_count = 0;
}
