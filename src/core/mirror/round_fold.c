/*
 * Names that are one file here: on a file system that ignores upper and lower case, or
 * treats two spellings of a letter as the same, the second name would replace the file
 * of the first one in every round. The second one is left out instead.
 *
 * Which names are equal, only the file system knows. So it is asked: in a hidden folder
 * beside the files, each name in question gets an empty file, or meets that of another.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/disk/beneath.h"
#include "core/mirror/round.h"
#include "p2p/io.h"

#define PROBE  ".p2p-names"
#define DEPTH  64
#define NO_ONE ((size_t)-1)

/* ---- The hidden folder ---- */

/* Its files were made by this function, or by a program that was killed. */
static void
remove_tree(int dir, const char *name, int depth)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;

    if (entries == NULL) {
        p2p_fd_close(&fd);
        return;
    }
    for (struct dirent *e; (e = readdir(entries)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (unlinkat(fd, e->d_name, 0) != 0 && depth > 0)
            remove_tree(fd, e->d_name, depth - 1);
    }
    closedir(entries);
    (void)!unlinkat(dir, name, AT_REMOVEDIR);
}

static int
open_probe(int dir)
{
    remove_tree(dir, PROBE, DEPTH);
    if (mkdirat(dir, PROBE, 0700) != 0)
        return -1;
    return openat(dir, PROBE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool
meets(int probe, const char *first, const char *second)
{
    int fd = openat(probe, first, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    int other = fd >= 0 ? openat(probe, second, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
    bool is_same = other >= 0;

    p2p_fd_close(&other);
    p2p_fd_close(&fd);
    (void)!unlinkat(probe, first, 0);
    return is_same;
}

static void
make_parents(int probe, const char *name)
{
    char folder[P2P_NAME_MAX + 1];

    snprintf(folder, sizeof(folder), "%s", name);
    for (char *slash = strchr(folder, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)!mkdirat(probe, folder, 0700); /* it may be there */
        *slash = '/';
    }
}

/* The number of the name that is there already; NO_ONE: this one has the place now, or
 * nobody can say. */
static size_t
take_place(int probe, const char *name, size_t number)
{
    size_t other = NO_ONE;
    int fd;

    make_parents(probe, name);
    fd =
        openat(probe, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0) {
        if (p2p_pwrite_full(fd, &number, sizeof(number), 0) != P2P_OK)
            (void)!unlinkat(probe, name, 0);
        p2p_fd_close(&fd);
        return NO_ONE;
    }
    if (errno != EEXIST)
        return NO_ONE;
    fd = openat(probe, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || p2p_pread_full(fd, &other, sizeof(other), 0) != P2P_OK)
        other = NO_ONE;
    p2p_fd_close(&fd);
    return other;
}

/* ---- Which names are asked about ---- */

struct asked {
    const char *name;
    size_t number;
    int rank; /* which name gets the file: one that is here already, then the source's
                 others */
    bool is_plain;
};

static int
by_letters(const void *a, const void *b)
{
    return strcasecmp(((const struct asked *)a)->name, ((const struct asked *)b)->name);
}

static int
by_rank(const void *a, const void *b)
{
    const struct asked *x = a, *y = b;

    return x->rank != y->rank ? x->rank - y->rank : strcmp(x->name, y->name);
}

static bool
is_plain(const char *name)
{
    while (*name != '\0' && isascii((unsigned char)*name))
        name++;
    return *name == '\0';
}

/* Names in ASCII that no other name resembles are not asked about. */
static size_t
choose(struct asked *all, size_t count)
{
    size_t n = 0;
    bool was_same = false;

    qsort(all, count, sizeof(*all), by_letters);
    for (size_t i = 0; i < count; i++) {
        bool is_same = i + 1 < count && by_letters(&all[i], &all[i + 1]) == 0;
        if (is_same || was_same || !all[i].is_plain)
            all[n++] = all[i];
        was_same = is_same;
    }
    if (n > 0)
        qsort(all, n, sizeof(*all), by_rank);
    return n;
}

enum p2p_err
p2p_round_same_names(int dir, const struct p2p_round_step *steps, size_t count,
                     size_t *same)
{
    struct asked *all = calloc(count + 1, sizeof(*all));
    int probe = all != NULL ? open_probe(dir) : -1;
    bool folds = probe >= 0 &&
                 (meets(probe, "aA", "Aa") || meets(probe, "\xc3\xa9", "e\xcc\x81"));
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        const struct p2p_round_step *s = &steps[i];
        same[i] = NO_ONE;
        if (folds)
            all[n++] = (struct asked){
                .name = s->name,
                .number = i,
                .rank = s->source == NULL  ? 2
                        : s->known != NULL ? 0
                                           : 1,
                .is_plain = is_plain(s->name),
            };
    }
    n = folds ? choose(all, n) : 0;
    for (size_t i = 0; i < n; i++)
        same[all[i].number] = take_place(probe, all[i].name, all[i].number);
    p2p_fd_close(&probe);
    remove_tree(dir, PROBE, DEPTH);
    free(all);
    return all != NULL ? P2P_OK : P2P_ERR_NOMEM;
}

/* ---- The round ---- */

static bool
has_work(const struct p2p_round *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->steps[i].act != P2P_MIRROR_NOTHING && r->steps[i].act != P2P_MIRROR_KEEP)
            return true;
    return false;
}

/* A name that is gone at the source shares its file with one that is not: a file was
 * renamed there, from "a" to "A". */
enum p2p_err
p2p_round_fold(struct p2p_round *r)
{
    const char *prefix = r->job->prefix;
    size_t *same = NULL;
    enum p2p_err err = P2P_OK;
    int dir;

    if (!has_work(r))
        return P2P_OK;
    dir = p2p_path_open_beneath(p2p_root_fd(r->root), prefix[0] != '\0' ? prefix : ".",
                                O_RDONLY | O_DIRECTORY, 0);
    if (dir < 0)
        return P2P_OK; /* the folder was deleted: downloads make it again */
    if ((same = calloc(r->count + 1, sizeof(*same))) == NULL)
        err = P2P_ERR_NOMEM;
    if (err == P2P_OK)
        err = p2p_round_same_names(dir, r->steps, r->count, same);
    for (size_t i = 0; i < r->count && err == P2P_OK; i++) {
        struct p2p_round_step *s = &r->steps[i];
        if (same[i] == NO_ONE)
            continue;
        s->act = s->source != NULL ? P2P_MIRROR_NOTHING : P2P_MIRROR_FORGET;
        r->folded += s->source != NULL;
    }
    free(same);
    close(dir);
    return err;
}
