/*
 * scratch - a temporary directory for a test program, and files in it. An error in
 * these functions fails the test immediately. Include after cmocka.h.
 */
#ifndef P2P_SCRATCH_H
#define P2P_SCRATCH_H

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNUSED_OK __attribute__((unused))

struct scratch {
    char dir[64];
};

static UNUSED_OK int
scratch_remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static UNUSED_OK void
scratch_make(struct scratch *s)
{
    snprintf(s->dir, sizeof(s->dir), "/tmp/p2p-unit-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
}

static UNUSED_OK void
scratch_remove(struct scratch *s)
{
    nftw(s->dir, scratch_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* The path of `name` in the scratch directory; valid until the next four calls. */
static UNUSED_OK const char *
scratch_path(const struct scratch *s, const char *name)
{
    static _Thread_local char paths[4][PATH_MAX];
    static _Thread_local unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, PATH_MAX, "%s/%s", s->dir, name);
    return path;
}

static UNUSED_OK void
scratch_folder(const struct scratch *s, const char *name)
{
    assert_int_equal(mkdir(scratch_path(s, name), 0755), 0);
}

static UNUSED_OK void
scratch_put_bytes(const struct scratch *s, const char *name, const void *data,
                  size_t len)
{
    FILE *f = fopen(scratch_path(s, name), "we");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static UNUSED_OK void
scratch_put(const struct scratch *s, const char *name, const char *text)
{
    scratch_put_bytes(s, name, text, strlen(text));
}

static UNUSED_OK bool
scratch_has(const struct scratch *s, const char *name)
{
    struct stat st;

    return lstat(scratch_path(s, name), &st) == 0;
}

/* The file's text equals `text`. */
static UNUSED_OK bool
scratch_holds(const struct scratch *s, const char *name, const char *text)
{
    char got[256] = "";
    FILE *f = fopen(scratch_path(s, name), "re");

    if (!f)
        return false;
    size_t n = fread(got, 1, sizeof(got) - 1, f);
    fclose(f);
    return n == strlen(text) && memcmp(got, text, n) == 0;
}

#endif
