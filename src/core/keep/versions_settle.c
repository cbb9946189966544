/* From the mailbox to the versions. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/keep/versions_internal.h"
#include "core/share/item.h"
#include "p2p/io.h"
#include "p2p/log.h"

struct settling {
    struct p2p_versions *v;
    uint64_t read_max;
};

/* The root that the note tells, if the file is still the one that it tells about, or
 * that of its bytes. */
static enum p2p_err
find_root(const struct settling *s, int fd, const struct stat *st,
          const struct p2p_mailbox_note *note, struct p2p_digest *root)
{
    const struct p2p_file_state state = p2p_file_state_of(st);

    if (note->root_known && state.size == note->size && state.inode == note->inode &&
        state.mtime_ns == note->mtime_ns) {
        *root = note->root;
        return P2P_OK;
    }
    if (state.size > s->read_max)
        return P2P_ERR_BUSY;
    return p2p_versions_hash(fd, state.size, p2p_versions_is_cancelled, s->v, root);
}

/* There may be a row for this very event already: the program was killed before it
 * removed the note. */
static bool
is_recorded(struct p2p_versions *v, const struct p2p_mailbox_note *note,
            const struct p2p_digest *root) P2P_REQUIRES(p2p_versions_lock)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;

    if (p2p_sqlite_prepare(v->db,
                           "SELECT 1 FROM versions WHERE name = ?1 AND until_s = ?2"
                           " AND end = ?3 AND root = ?4",
                           &stmt) == P2P_OK) {
        sqlite3_bind_text(stmt, 1, note->name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 2, (int64_t)note->until_s);
        sqlite3_bind_int(stmt, 3, (int)note->end);
        sqlite3_bind_blob(stmt, 4, root->b, sizeof(root->b), SQLITE_STATIC);
        if (p2p_sqlite_next(stmt, &row) != P2P_OK)
            row = false;
    }
    sqlite3_finalize(stmt);
    return row;
}

/* The rows come first: a program that is killed before the file is in its place repeats
 * the whole step, and finds them. */
static enum p2p_err
store(struct p2p_versions *v, int in, const char *id,
      const struct p2p_mailbox_note *note, const struct p2p_digest *root,
      const struct stat *st) P2P_REQUIRES(p2p_versions_lock)
{
    uint64_t now_k;
    enum p2p_err err = p2p_versions_begin(v);

    if (err != P2P_OK)
        return err;
    err = p2p_versions_clock(v, &now_k);
    if (err == P2P_OK && !is_recorded(v, note, root))
        err = p2p_versions_add_row(v, note, root, st, now_k);
    if (err == P2P_OK)
        err = p2p_versions_add_object(v, root, st, now_k, false);
    err = p2p_versions_end(v, err);
    return err == P2P_OK ? p2p_versions_object_put(v, in, id, root) : err;
}

static enum p2p_err
drop(int in, const char *id, const struct p2p_mailbox_note *note, bool is_on)
{
    if (is_on)
        p2p_log_warn("the old content of a file is not kept: there is no room for it "
                     "(p2p versions show) name=%s",
                     note->name);
    return unlinkat(in, id, 0) == 0 ? P2P_OK : P2P_ERR_SYS;
}

static enum p2p_err
record(void *arg, int in, const char *id, const struct p2p_mailbox_note *note)
{
    const struct settling *s = arg;
    struct p2p_versions *v = s->v;
    struct p2p_versions_limits limits;
    struct p2p_digest root;
    struct stat st;
    int fd = openat(in, id, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    enum p2p_err err = fd >= 0 && fstat(fd, &st) == 0 ? P2P_OK : P2P_ERR_SYS;

    if (err == P2P_OK)
        err = find_root(s, fd, &st, note, &root);
    if (err == P2P_OK)
        (void)fchmod(fd, 0600); /* not every file system has modes */
    p2p_fd_close(&fd);
    if (err != P2P_OK)
        return err;
    p2p_lock(&v->lock);
    err = p2p_versions_limits(v, &limits);
    if (err == P2P_OK && !limits.is_on)
        err = drop(in, id, note, false);
    else if (err == P2P_OK && note->may_drop &&
             !p2p_versions_shrink(v, (uint64_t)st.st_blocks * 512))
        err = drop(in, id, note, true);
    else if (err == P2P_OK)
        err = store(v, in, id, note, &root, &st);
    p2p_unlock(&v->lock);
    if (err != P2P_OK && err != P2P_ERR_BUSY)
        p2p_log_warn("cannot record an old version name=%s error=%s", note->name,
                     p2p_err_name(err));
    return err;
}

enum p2p_err
p2p_versions_settle(struct p2p_versions *v, uint64_t read_max)
{
    struct settling s = {.v = v, .read_max = read_max};
    size_t left;

    return p2p_mailbox_visit(v->root, record, &s, &left);
}
