#include "cli/machine/daemons.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct status {
    char name[CLI_DAEMON_NAME];
    int parent, no_new_privs, seccomp;
    unsigned long long capabilities;
};

static bool
read_status(const char *pid, struct status *s)
{
    char path[64], line[256];
    FILE *in;

    *s = (struct status){0};
    snprintf(path, sizeof(path), "/proc/%.16s/status", pid);
    if ((in = fopen(path, "re")) == NULL)
        return false;
    while (fgets(line, sizeof(line), in) != NULL)
        if (sscanf(line, "Name: %15s", s->name) != 1 &&
            sscanf(line, "PPid: %d", &s->parent) != 1 &&
            sscanf(line, "NoNewPrivs: %d", &s->no_new_privs) != 1 &&
            sscanf(line, "Seccomp: %d", &s->seccomp) != 1)
            (void)sscanf(line, "CapEff: %llx", &s->capabilities);
    fclose(in);
    return true;
}

static bool
is_daemon(const char *name)
{
    return strcmp(name, "p2p-peer") == 0 || strcmp(name, "p2p-ui") == 0 ||
           strcmp(name, "p2p-discovery") == 0 || strcmp(name, "p2p-relay") == 0;
}

/* The serving process is the child of a process with the same name. */
static bool
serves(const struct status *s)
{
    struct status parent;
    char pid[16];

    snprintf(pid, sizeof(pid), "%d", s->parent);
    return is_daemon(s->name) && read_status(pid, &parent) &&
           strcmp(parent.name, s->name) == 0;
}

size_t
cli_find_daemons(struct cli_daemon *out, size_t max)
{
    enum { SECCOMP_FILTER = 2 };
    DIR *proc = opendir("/proc");
    const struct dirent *entry;
    size_t count = 0;

    while (proc != NULL && count < max && (entry = readdir(proc)) != NULL) {
        struct status s;
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
            !read_status(entry->d_name, &s) || !serves(&s))
            continue;
        struct cli_daemon *d = &out[count++];
        snprintf(d->name, sizeof(d->name), "%s", s.name);
        d->pid = atoi(entry->d_name);
        d->is_filtered = s.no_new_privs == 1 && s.seccomp == SECCOMP_FILTER;
        d->has_rights = s.capabilities != 0;
    }
    if (proc != NULL)
        closedir(proc);
    return count;
}
