/* The mounts beneath the shared folder, from /proc/self/mountinfo. */
#include "core/share/mounts.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "p2p/io.h"
#include "p2p/siphash.h"

#define MOUNT_TABLE "/proc/self/mountinfo"

static bool
is_octal(const char *digits)
{
    for (int i = 0; i < 3; i++)
        if (digits[i] < '0' || digits[i] > '7')
            return false;
    return true;
}

/* The table has spaces and some other characters as "\040". */
static void
unescape(char *text)
{
    char *out = text;

    while (*text) {
        if (*text == '\\' && is_octal(text + 1)) {
            *out++ = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + text[3] - '0');
            text += 4;
        } else {
            *out++ = *text++;
        }
    }
    *out = '\0';
}

/* "ID PARENT MAJOR:MINOR ROOT PLACE ...": ends the line behind PLACE. NULL if it has
 * another form. */
static char *
place_in(char *line)
{
    char *end;

    for (int i = 0; i < 4; i++) {
        line = strchr(line, ' ');
        if (!line)
            return NULL;
        line++;
    }
    end = strchr(line, ' ');
    if (end)
        *end = '\0';
    unescape(line);
    return line;
}

static bool
is_beneath(const char *place, const char *folder)
{
    size_t len = strlen(folder);

    return strncmp(place, folder, len) == 0 && place[len] == '/';
}

typedef void visit_mount(void *arg, unsigned long long id, const char *place);

/* Visits those beneath the folder, with their places in it. */
static bool
visit_all(int folder, visit_mount *visit, void *arg)
{
    FILE *table = fopen(MOUNT_TABLE, "re");
    char path[PATH_MAX], *line = NULL;
    size_t cap = 0;

    if (!table || !p2p_fd_path(folder, path, sizeof(path))) {
        if (table)
            fclose(table);
        return false;
    }
    while (getline(&line, &cap, table) > 0) {
        unsigned long long id = strtoull(line, NULL, 10);
        const char *place = place_in(line);
        if (place && is_beneath(place, path))
            visit(arg, id, place + strlen(path) + 1);
    }
    free(line);
    fclose(table);
    return true;
}

static void
add_to_sum(void *arg, unsigned long long id, const char *place)
{
    uint64_t *sum = arg;

    sum[1] = id; /* another file system at the same place has another id */
    sum[0] = p2p_siphash24(sum, place, strlen(place));
}

static uint64_t
sum_of(int folder)
{
    uint64_t sum[2] = {0, 0};

    visit_all(folder, add_to_sum, sum);
    return sum[0];
}

struct each {
    p2p_mounts_visit *visit;
    void *arg;
};

static void
visit_place(void *arg, unsigned long long id, const char *place)
{
    const struct each *each = arg;

    (void)id;
    each->visit(each->arg, place);
}

bool
p2p_mounts_each(int folder, p2p_mounts_visit *visit, void *arg)
{
    struct each each = {visit, arg};

    return visit_all(folder, visit_place, &each);
}

void
p2p_mounts_open(struct p2p_mounts *mounts, int folder)
{
    p2p_mounts_close(mounts);
    mounts->fd = open(MOUNT_TABLE, O_RDONLY | O_CLOEXEC);
    mounts->sum = sum_of(folder);
}

void
p2p_mounts_close(struct p2p_mounts *mounts)
{
    p2p_fd_close(&mounts->fd);
}

bool
p2p_mounts_have_changed(struct p2p_mounts *mounts, int folder)
{
    uint64_t before = mounts->sum;

    mounts->sum = sum_of(folder);
    return mounts->sum != before;
}
