#include "core/disk/mailbox_note.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "core/disk/path_internal.h"
#include "p2p/bytes.h"
#include "p2p/io.h"

#define LOCK_WAIT_MS 500 /* for another process that records the file */
#define LOCK_STEP_MS 10

enum p2p_err
p2p_mailbox_dir(const struct p2p_root *root, bool make, int *dir)
{
    static const char *const parts[] = {"versions", "in"};
    int at = -1;
    enum p2p_err err = p2p_path_private_dir(root, &at);

    *dir = -1;
    for (size_t i = 0; i < 2 && err == P2P_OK; i++) {
        int next = -1;
        if (make && mkdirat(at, parts[i], 0700) != 0 && errno != EEXIST)
            err = p2p_err_from_errno(errno);
        else if ((next = p2p_path_open_beneath(at, parts[i], O_RDONLY | O_DIRECTORY,
                                               0)) < 0)
            err = p2p_path_error(errno);
        close(at);
        at = next;
    }
    *dir = at;
    return err;
}

/* ---- The text ---- */

static int
format(const struct p2p_mailbox_note *note, char out[NOTE_SIZE])
{
    char root[2 * P2P_DIGEST_LEN + 1] = "-";

    if (note->root_known)
        p2p_hex_format(note->root.b, sizeof(note->root.b), root);
    return snprintf(out, NOTE_SIZE,
                    "p2p mailbox 1\nend %d\ndrop %d\nmoving %d\nversion %" PRIu32
                    "\nuntil %" PRIu64 "\nsize %" PRIu64 "\ninode %" PRIu64
                    "\nmtime %" PRId64 "\nroot %s\nname %s\nend\n",
                    (int)note->end, note->may_drop, note->is_moving, note->version,
                    note->until_s, note->size, note->inode, note->mtime_ns, root,
                    note->name);
}

static bool
parse_tail(const char *text, struct p2p_mailbox_note *note)
{
    const char *name = strstr(text, "\nname ");
    const char *end = name != NULL ? strstr(name, "\nend\n") : NULL;
    const char *root = strstr(text, "\nroot ");
    char hex[2 * P2P_DIGEST_LEN + 1];

    if (end == NULL || end[5] != '\0' || root == NULL || root > name)
        return false;
    name += 6;
    if ((size_t)(end - name) > P2P_NAME_MAX)
        return false;
    snprintf(note->name, sizeof(note->name), "%.*s", (int)(end - name), name);
    snprintf(hex, sizeof(hex), "%.*s", (int)sizeof(hex) - 1, root + 6);
    note->root_known = p2p_hex_parse(hex, note->root.b, sizeof(note->root.b)) == P2P_OK;
    return (note->root_known || root[6] == '-') &&
           p2p_name_check(note->name, strlen(note->name), true) == P2P_OK;
}

static bool
parse(const char *text, struct p2p_mailbox_note *note)
{
    int end, drop, moving;

    memset(note, 0, sizeof(*note));
    if (sscanf(text,
               "p2p mailbox 1\nend %d\ndrop %d\nmoving %d\nversion %" SCNu32
               "\nuntil %" SCNu64 "\nsize %" SCNu64 "\ninode %" SCNu64
               "\nmtime %" SCNd64 "\n",
               &end, &drop, &moving, &note->version, &note->until_s, &note->size,
               &note->inode, &note->mtime_ns) != 8 ||
        (end != P2P_MAILBOX_REPLACED && end != P2P_MAILBOX_DELETED))
        return false;
    note->end = (enum p2p_mailbox_end)end;
    note->may_drop = drop != 0;
    note->is_moving = moving != 0;
    return parse_tail(text, note);
}

/* ---- The file ---- */

static void
file_name(const char *id, char out[NOTE_NAME])
{
    snprintf(out, NOTE_NAME, "%.*s" NOTE_SUFFIX, P2P_MAILBOX_ID_LEN, id);
}

/* Begins with the time, so that ids are in the order of what happened. */
static enum p2p_err
make_id(char id[P2P_MAILBOX_ID_LEN + 1])
{
    struct timespec now;
    uint16_t random;
    enum p2p_err err = p2p_random(&random, sizeof(random));

    if (err != P2P_OK || clock_gettime(CLOCK_REALTIME, &now) != 0)
        return err != P2P_OK ? err : P2P_ERR_SYS;
    uint64_t ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    snprintf(id, P2P_MAILBOX_ID_LEN + 1, "%016" PRIx64,
             (ns & ~(uint64_t)0xfff) | (random & 0xfff));
    return P2P_OK;
}

static enum p2p_err
write_text(int fd, const struct p2p_mailbox_note *note, bool flush)
{
    char text[NOTE_SIZE];
    int len = format(note, text);
    enum p2p_err err = p2p_pwrite_full(fd, text, (size_t)len, 0);

    if (err == P2P_OK && flush && fsync(fd) != 0)
        err = p2p_err_from_errno(errno);
    return err;
}

/* It gets its real name when it is whole and locked: a visit of another process never
 * sees less. */
enum p2p_err
p2p_mailbox_note_put(int in, const struct p2p_mailbox_note *note, bool flush, char *id,
                     int *lock)
{
    char temporary[NOTE_NAME], name[NOTE_NAME];
    enum p2p_err err = make_id(id);

    *lock = -1;
    if (err != P2P_OK)
        return err;
    file_name(id, name);
    snprintf(temporary, sizeof(temporary), "%.*s" NOTE_NEW, P2P_MAILBOX_ID_LEN, id);
    *lock =
        openat(in, temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (*lock < 0)
        return p2p_err_from_errno(errno);
    (void)flock(*lock, LOCK_EX | LOCK_NB); /* not every file system has locks */
    err = write_text(*lock, note, flush);
    if (err == P2P_OK && p2p_path_move_new(in, temporary, in, name) != 0)
        err = p2p_err_from_errno(errno);
    if (err == P2P_OK && flush && !p2p_path_flush(in))
        err = p2p_err_from_errno(errno);
    if (err != P2P_OK) {
        (void)unlinkat(in, temporary, 0);
        if (err != P2P_ERR_EXISTS)
            (void)unlinkat(in, name, 0);
        p2p_fd_close(lock);
    }
    return err;
}

enum p2p_err
p2p_mailbox_note_update(int lock, const struct p2p_mailbox_note *note)
{
    return write_text(lock, note, true);
}

/* Another process may be recording the file now: a moment later it has. */
static bool
get_lock(int fd)
{
    const struct timespec pause = {.tv_nsec = LOCK_STEP_MS * 1000000L};

    for (int waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
         waited_ms += LOCK_STEP_MS) {
        if (waited_ms >= LOCK_WAIT_MS)
            return false;
        nanosleep(&pause, NULL);
    }
    return true; /* not every file system has locks */
}

enum p2p_err
p2p_mailbox_note_get(int in, const char *id, struct p2p_mailbox_note *note, int *lock)
{
    char name[NOTE_NAME], text[NOTE_SIZE];
    struct stat st;
    ssize_t len;

    file_name(id, name);
    /* for writing: network file systems lock nothing else exclusively */
    *lock = openat(in, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (*lock < 0)
        return p2p_err_from_errno(errno);
    if (!get_lock(*lock)) {
        p2p_fd_close(lock);
        return P2P_ERR_BUSY;
    }
    if (fstat(*lock, &st) == 0 && st.st_nlink == 0) {
        p2p_fd_close(lock);
        return P2P_ERR_NOT_FOUND;
    }
    len = pread(*lock, text, sizeof(text) - 1, 0);
    if (len > 0)
        text[len] = '\0';
    if (len <= 0 || !parse(text, note)) {
        p2p_fd_close(lock);
        return P2P_ERR_CORRUPT;
    }
    return P2P_OK;
}

void
p2p_mailbox_note_remove(int in, const char *id)
{
    char name[NOTE_NAME];

    file_name(id, name);
    (void)unlinkat(in, name, 0);
}
