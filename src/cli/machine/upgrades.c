/* ldd names the libraries of the programs, dpkg-query the packages that own them, and
 * apt-cache the version of each package that could be installed. */
#include "cli/machine/upgrades.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "p2p/clock.h"
#include "p2p/io.h"

enum { ANSWER_MAX = 256 * 1024, ANSWER_MS = 30000 };

extern char **environ;

/* ---- lists of words ---- */

bool
cli_words_add(struct cli_words *words, const char *text, size_t len)
{
    char **larger;

    for (size_t i = 0; i < words->count; i++)
        if (strlen(words->at[i]) == len && memcmp(words->at[i], text, len) == 0)
            return true;
    larger = realloc(words->at, (words->count + 2) * sizeof(*larger));
    if (larger == NULL)
        return false;
    words->at = larger;
    words->at[words->count + 1] = NULL;
    words->at[words->count] = strndup(text, len);
    return words->at[words->count] != NULL && ++words->count > 0;
}

void
cli_words_clear(struct cli_words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->at[i]);
    free(words->at);
    *words = (struct cli_words){NULL, 0};
}

static bool
add_all(struct cli_words *words, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!cli_words_add(words, texts[i], strlen(texts[i])))
            return false;
    return true;
}

/* ---- what the commands print ---- */

static const char *
next_line(const char *line)
{
    const char *end = strchr(line, '\n');

    return end != NULL ? end + 1 : line + strlen(line);
}

/* "	libssl.so.3 => /lib/x86_64-linux-gnu/libssl.so.3 (0x00007f...)" */
bool
cli_parse_ldd(const char *text, struct cli_words *paths)
{
    static const char usr[] = "/usr";
    const size_t usr_len = sizeof(usr) - 1;

    for (const char *line = text; *line != '\0'; line = next_line(line)) {
        const char *path = strstr(line, "=> /"), *end = next_line(line);
        char other[PATH_MAX];
        size_t len;
        if (path == NULL || path >= end)
            continue;
        path += strlen("=> ");
        len = strcspn(path, " \n");
        if (len + usr_len >= sizeof(other))
            continue;
        if (strncmp(path, "/usr/", usr_len + 1) == 0)
            snprintf(other, sizeof(other), "%.*s", (int)(len - usr_len),
                     path + usr_len);
        else
            snprintf(other, sizeof(other), "%s%.*s", usr, (int)len, path);
        if (!cli_words_add(paths, path, len) ||
            !cli_words_add(paths, other, strlen(other)))
            return false;
    }
    return true;
}

/* "libssl3:amd64: /usr/lib/x86_64-linux-gnu/libssl.so.3". Several owners have commas
 * between them. */
bool
cli_parse_owners(const char *text, struct cli_words *packages)
{
    for (const char *line = text; *line != '\0'; line = next_line(line)) {
        const char *end = strstr(line, ": /");
        size_t len = strcspn(line, ", \n");
        if (end == NULL || end >= next_line(line) || *line < '0')
            continue; /* a diversion, or a message */
        if ((size_t)(end - line) < len)
            len = (size_t)(end - line);
        else if (line[len] == ' ')
            continue;
        if (!cli_words_add(packages, line, len))
            return false;
    }
    return true;
}

/* The rest of the line after `label`, to `out`. */
static bool
take_version(const char *line, const char *label, char out[CLI_VERSION_MAX])
{
    const char *at = line + strspn(line, " ");

    if (strncmp(at, label, strlen(label)) != 0)
        return false;
    at += strlen(label);
    snprintf(out, CLI_VERSION_MAX, "%.*s", (int)strcspn(at, "\n"), at);
    return true;
}

/* A line "libssl3:" begins a package; "  Installed: 3.0.19" and "  Candidate: 3.0.22"
 * follow. */
size_t
cli_parse_policy(const char *text, struct cli_upgrade *out, size_t max)
{
    struct cli_upgrade one = {"", "", ""};
    size_t count = 0;

    for (const char *line = text; *line != '\0'; line = next_line(line)) {
        if (*line != ' ') {
            snprintf(one.package, sizeof(one.package), "%.*s",
                     (int)strcspn(line, ":\n"), line);
            one.installed[0] = '\0';
        }
        (void)take_version(line, "Installed: ", one.installed);
        if (!take_version(line, "Candidate: ", one.newer) || one.installed[0] == '\0' ||
            one.installed[0] == '(' || one.newer[0] == '(' ||
            strcmp(one.installed, one.newer) == 0)
            continue;
        if (count < max)
            out[count] = one;
        count++;
    }
    return count;
}

/* ---- the commands ---- */

static pid_t
start(char *const argv[], int *from)
{
    posix_spawn_file_actions_t actions;
    int ends[2];
    pid_t pid = -1;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    if (posix_spawn_file_actions_init(&actions) == 0) {
        if (posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null",
                                             O_RDONLY, 0) != 0 ||
            posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO) != 0 ||
            posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null",
                                             O_WRONLY, 0) != 0 ||
            posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ) != 0)
            pid = -1;
        posix_spawn_file_actions_destroy(&actions);
    }
    p2p_fd_close(&ends[1]);
    *from = ends[0];
    return pid;
}

/* Until the end, the deadline or ANSWER_MAX; always ends with a NUL. */
static bool
read_answer(int from, char *out)
{
    uint64_t deadline = p2p_now_ms() + ANSWER_MS, now;
    size_t len = 0;

    out[0] = '\0';
    while ((now = p2p_now_ms()) < deadline && len < ANSWER_MAX) {
        struct pollfd one = {.fd = from, .events = POLLIN};
        ssize_t n;
        if (poll(&one, 1, (int)(deadline - now)) <= 0)
            continue;
        n = read(from, out + len, ANSWER_MAX - len);
        if (n <= 0)
            return n == 0;
        len += (size_t)n;
        out[len] = '\0';
    }
    return false;
}

/* Runs the command `words` in the C locale and stores its output in `out` (ANSWER_MAX +
 * 1 bytes). Its exit status is of little use: dpkg-query fails if one of the packages
 * is unknown. */
static bool
ask(const struct cli_words *words, char *out)
{
    int from = -1;
    pid_t pid = start(words->at, &from);
    bool ok = pid >= 0 && read_answer(from, out);

    p2p_fd_close(&from);
    if (pid >= 0) {
        if (!ok)
            kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0)
            ;
    }
    return ok && out[0] != '\0';
}

/* This program and those of the project beside it. */
static bool
add_programs(struct cli_words *words)
{
    static const char *const names[] = {"p2p", "p2p-peer", "p2p-ui", "p2p-discovery"};
    char self[PATH_MAX - 32], path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    bool ok = len > 0;

    if (!ok)
        return false;
    self[len] = '\0';
    *strrchr(self, '/') = '\0';
    for (size_t i = 0; ok && i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", self, names[i]);
        if (access(path, X_OK) == 0)
            ok = cli_words_add(words, path, strlen(path));
    }
    return ok;
}

bool
cli_find_upgrades(struct cli_upgrade *out, size_t max, size_t *count)
{
    static const char *const ldd[] = {"env", "LC_ALL=C", "ldd"};
    static const char *const owners[] = {"env", "LC_ALL=C", "dpkg-query", "-S"};
    static const char *const policy[] = {"env", "LC_ALL=C", "apt-cache", "policy"};
    struct cli_words a = {NULL, 0}, b = {NULL, 0}, c = {NULL, 0};
    char *text = malloc(ANSWER_MAX + 1);
    bool ok = text != NULL && add_all(&a, ldd, 3) && add_programs(&a) && ask(&a, text);

    ok = ok && add_all(&b, owners, 4) && cli_parse_ldd(text, &b) && ask(&b, text);
    ok = ok && add_all(&c, policy, 4) && cli_parse_owners(text, &c) && ask(&c, text);
    *count = ok ? cli_parse_policy(text, out, max) : 0;
    free(text);
    cli_words_clear(&a);
    cli_words_clear(&b);
    cli_words_clear(&c);
    return ok;
}
