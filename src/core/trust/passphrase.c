/* Sources of a passphrase. The command line is not one, because other users can see
 * it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "p2p/bytes.h"
#include "p2p/identity.h"
#include "p2p/log.h"
#include "p2p/vault.h"

#define PASSPHRASE_MAX 1024

/* Reads the first line of `fd` as owned text; NULL if it is empty or too long. Reads
 * one byte at a time, because what follows the line is for another reader. */
static char *
read_line(int fd)
{
    char *line = p2p_vault_new(PASSPHRASE_MAX + 1);
    size_t len = 0;
    bool ended = false;

    while (line && !ended && len <= PASSPHRASE_MAX) {
        char c = '\0';
        ssize_t n = read(fd, &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        ended = n <= 0 || c == '\n' || c == '\0';
        if (!ended && len < PASSPHRASE_MAX)
            line[len] = c;
        len += !ended;
        p2p_wipe(&c, 1);
    }
    if (line && len > 0 && len <= PASSPHRASE_MAX && line[len - 1] == '\r')
        line[--len] = '\0';
    if (line && (len == 0 || len > PASSPHRASE_MAX)) {
        p2p_vault_free(line);
        return NULL;
    }
    return line;
}

static char *
read_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0) {
        p2p_log_error("cannot read the passphrase file %s: %s", path,
                      p2p_err_text(p2p_err_from_errno(errno)));
        return NULL;
    }
    char *line = read_line(fd);
    close(fd);
    if (!line)
        p2p_log_error("the first line of the passphrase file %s is empty or too long",
                      path);
    return line;
}

/* The descriptor is used up: do not pass it on to child processes. */
static char *
read_descriptor(const char *number)
{
    uint64_t fd;

    if (p2p_decimal_parse(number, strlen(number), INT_MAX, &fd) != P2P_OK)
        return NULL;
    char *line = read_line((int)fd);
    close((int)fd);
    return line;
}

/* Delays signals that would end or stop the program until the terminal echoes again. */
static char *
ask_silently(int tty, const char *prompt)
{
    struct termios before, silent;
    sigset_t signals, old;
    char *line = NULL;

    if (tcgetattr(tty, &before) != 0)
        return NULL;
    silent = before;
    silent.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    sigemptyset(&signals);
    for (size_t i = 0; i < 4; i++)
        sigaddset(&signals, (const int[]){SIGINT, SIGTERM, SIGHUP, SIGTSTP}[i]);
    pthread_sigmask(SIG_BLOCK, &signals, &old);
    if (tcsetattr(tty, TCSAFLUSH, &silent) == 0) {
        dprintf(tty, "%s", prompt);
        line = read_line(tty);
        tcsetattr(tty, TCSAFLUSH, &before);
        dprintf(tty, "\n");
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return line;
}

static char *
ask_on_terminal(const char *prompt)
{
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    char *line = NULL;

    if (tty < 0)
        return NULL;
    /* A background process that reads the terminal would be stopped. */
    if (tcgetpgrp(tty) == getpgrp())
        line = ask_silently(tty, prompt);
    close(tty);
    return line;
}

char *
p2p_passphrase_ask(const char *prompt)
{
    return ask_on_terminal(prompt);
}

/* A variable of the environment; NULL if it is unset or empty. */
static const char *
setting(const char *name)
{
    const char *value = getenv(name);

    return value && value[0] ? value : NULL;
}

/* The path of the systemd credential; false if the unit provides none. */
static bool
find_credential(char path[PATH_MAX])
{
    const char *directory = setting("CREDENTIALS_DIRECTORY");

    if (!directory)
        return false;
    snprintf(path, PATH_MAX, "%s/key-passphrase", directory);
    return access(path, F_OK) == 0;
}

enum p2p_passphrase_source
p2p_passphrase_source(void)
{
    char path[PATH_MAX];

    if (setting("P2P_PASSPHRASE_FILE"))
        return P2P_PASSPHRASE_FROM_FILE;
    if (setting("P2P_PASSPHRASE_FD"))
        return P2P_PASSPHRASE_FROM_DESCRIPTOR;
    return find_credential(path) ? P2P_PASSPHRASE_FROM_CREDENTIAL
                                 : P2P_PASSPHRASE_FROM_TERMINAL;
}

char *
p2p_passphrase_default(void *arg, const char *prompt)
{
    char path[PATH_MAX];

    (void)arg;
    switch (p2p_passphrase_source()) {
    case P2P_PASSPHRASE_FROM_FILE:
        return read_file(getenv("P2P_PASSPHRASE_FILE"));
    case P2P_PASSPHRASE_FROM_DESCRIPTOR:
        return read_descriptor(getenv("P2P_PASSPHRASE_FD"));
    case P2P_PASSPHRASE_FROM_CREDENTIAL:
        return find_credential(path) ? read_file(path) : NULL;
    case P2P_PASSPHRASE_FROM_TERMINAL:
        break;
    }
    return ask_on_terminal(prompt);
}
