#include "p2p/caller.h"

#include <dirent.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/guard/caller_internal.h"

#define ANCESTORS_MAX 256

/* One check of a connection, and the sentence that explains its result. */
struct inquiry {
    struct p2p_caller_inodes connection; /* one inode, that of the other end */
    struct p2p_caller_inodes listeners;
    char *reason;
    size_t cap;
};

/* Stores the reason of a refusal. Returns false, so that callers can return its
 * result. */
static bool __attribute__((format(printf, 2, 3)))
refuse(struct inquiry *q, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (q->reason != NULL && q->cap > 0)
        vsnprintf(q->reason, q->cap, format, args);
    va_end(args);
    return false;
}

static bool
is_loopback(const struct sockaddr *sa)
{
    const struct sockaddr_in *v4 = (const void *)sa;
    const struct sockaddr_in6 *v6 = (const void *)sa;

    if (sa->sa_family == AF_INET)
        return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
    if (sa->sa_family != AF_INET6)
        return false;
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        return v6->sin6_addr.s6_addr[12] == 127;
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

/* ---- one process ---- */

static bool
unit_is_fine(struct inquiry *q, const struct p2p_caller_process *p,
             char unit[P2P_CALLER_UNIT_MAX])
{
    if (p2p_caller_process_unit(p, unit) != P2P_OK)
        return refuse(q, "cannot read the control group of process %d", (int)p->pid);
    if (p2p_caller_unit_kind(unit) == P2P_CALLER_SYSTEM_SERVICE)
        return refuse(q, "process %d runs under a system unit", (int)p->pid);
    return true;
}

/* Compares both names of a process: that of its executable and the one it runs under. A
 * script has its own name, and so has a program with many names (busybox). */
static bool
name_is_fine(struct inquiry *q, const struct p2p_caller_process *p)
{
    char name[P2P_CALLER_NAME_MAX];

    if (p2p_caller_process_name(p, name) != P2P_OK)
        return refuse(q, "cannot read the program of process %d", (int)p->pid);
    if (p2p_caller_is_carrier(name) || p2p_caller_is_carrier(p->comm))
        return refuse(q, "process %d (%s) forwards connections of others", (int)p->pid,
                      name);
    return true;
}

static bool
process_is_fine(struct inquiry *q, const struct p2p_caller_process *p,
                char unit[P2P_CALLER_UNIT_MAX])
{
    bool listens = true;

    if (!unit_is_fine(q, p, unit) || !name_is_fine(q, p))
        return false;
    if (p2p_caller_process_listens(p, &q->listeners, &listens) != P2P_OK)
        return refuse(q, "cannot read the descriptors of process %d", (int)p->pid);
    if (listens)
        return refuse(q, "process %d listens for TCP connections", (int)p->pid);
    return true;
}

/* ---- its ancestors ---- */

/*
 * Checks the processes above the session. The process that started the session may
 * belong to the system and need not be readable. But a relay that starts a program for
 * each connection is recognized by its name. Below programs that people log in with,
 * the processes belong to those people.
 */
static bool
starters_are_fine(struct inquiry *q, pid_t pid)
{
    for (unsigned i = 0; pid > 0 && i < ANCESTORS_MAX; i++) {
        struct p2p_caller_process p;

        if (p2p_caller_process_open(pid, &p) != P2P_OK)
            return refuse(q, "cannot read process %d", (int)pid);
        p2p_caller_process_close(&p);
        if (p2p_caller_is_carrier(p.comm) && !p2p_caller_is_login(p.comm))
            return refuse(q, "process %d (%s) forwards connections of others", (int)pid,
                          p.comm);
        pid = p.parent;
    }
    return true;
}

/* Session 0 has no leader. Its first process has started the whole machine or
 * container, so the sockets on which that process listens say nothing about the other
 * processes. */
static bool
is_started_by_init(const struct p2p_caller_process *p)
{
    return p->parent == 1 && p->session == 0;
}

/* True if the walk upwards continues with the parent of `p`. */
static bool
goes_on(const struct p2p_caller_process *p, const char *unit)
{
    struct p2p_caller_process parent;
    char above[P2P_CALLER_UNIT_MAX];
    bool is_inside = false;

    if (is_started_by_init(p))
        return false;
    if (p->parent <= 0 || p2p_caller_process_open(p->parent, &parent) != P2P_OK)
        return p->parent > 0; /* unreadable: the walk decides */
    if (p->pid != p->session && parent.session == p->session)
        is_inside = true;
    else if (p2p_caller_unit_kind(unit) == P2P_CALLER_USER_SERVICE)
        is_inside = p2p_caller_process_unit(&parent, above) != P2P_OK ||
                    strcmp(unit, above) == 0;
    p2p_caller_process_close(&parent);
    return is_inside;
}

static bool
chain_is_fine(struct inquiry *q, pid_t pid)
{
    for (unsigned i = 0; i < ANCESTORS_MAX; i++) {
        char unit[P2P_CALLER_UNIT_MAX];
        struct p2p_caller_process p;
        bool is_fine, more;

        if (p2p_caller_process_open(pid, &p) != P2P_OK)
            return refuse(q, "cannot read process %d", (int)pid);
        is_fine = process_is_fine(q, &p, unit);
        more = is_fine && goes_on(&p, unit);
        p2p_caller_process_close(&p);
        if (!is_fine)
            return false;
        if (!more)
            return starters_are_fine(q, p.parent);
        pid = p.parent;
    }
    return refuse(q, "process %d has too many ancestors", (int)pid);
}

/* ---- who holds it ---- */

/* A process that has ended or that we may not inspect does not count as a holder. At
 * least one holder must be readable. */
static bool
holds_connection(const struct inquiry *q, pid_t pid)
{
    struct p2p_caller_process p;
    bool holds = false;

    if (p2p_caller_process_open(pid, &p) != P2P_OK)
        return false;
    if (p2p_caller_process_holds(&p, &q->connection, &holds) != P2P_OK)
        holds = false;
    p2p_caller_process_close(&p);
    return holds;
}

static bool
holders_are_fine(struct inquiry *q)
{
    DIR *processes = opendir("/proc");
    const struct dirent *entry;
    bool is_fine = true;
    unsigned found = 0;

    if (processes == NULL)
        return refuse(q, "cannot read /proc");
    while (is_fine && (entry = readdir(processes)) != NULL) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);

        if (pid <= 0 || *end != '\0' || !holds_connection(q, (pid_t)pid))
            continue;
        found++;
        is_fine = chain_is_fine(q, (pid_t)pid);
    }
    closedir(processes);
    if (is_fine && found == 0)
        return refuse(q, "no process that p2p-ui may inspect has the other end open");
    return is_fine;
}

/* ---- the question ---- */

/* With the mount option hidepid, process 1 and many others are hidden. */
static bool
proc_is_open(struct inquiry *q)
{
    struct p2p_caller_process first;

    if (p2p_caller_process_open(1, &first) != P2P_OK)
        return refuse(q, "/proc hides processes");
    p2p_caller_process_close(&first);
    return true;
}

static bool
we_are_no_service(struct inquiry *q)
{
    char unit[P2P_CALLER_UNIT_MAX];
    struct p2p_caller_process self;
    bool is_fine;

    if (p2p_caller_process_open(getpid(), &self) != P2P_OK)
        return refuse(q, "cannot read the program's own entry in /proc");
    is_fine = unit_is_fine(q, &self, unit);
    p2p_caller_process_close(&self);
    return is_fine;
}

static bool
find_other_end(struct inquiry *q, const struct sockaddr *ours,
               const struct sockaddr *theirs, struct p2p_caller_socket *s)
{
    if (p2p_caller_find_socket(theirs, ours, s) != P2P_OK)
        return refuse(q, "the kernel does not say which user has the other end open");
    if (s->uid != geteuid())
        return refuse(q, "the other end belongs to user %u", (unsigned)s->uid);
    return true;
}

static bool
is_own(struct inquiry *q, const struct sockaddr *ours, const struct sockaddr *theirs)
{
    struct p2p_caller_socket before, after;

    if (!is_loopback(ours) || !is_loopback(theirs))
        return refuse(q, "the connection does not come over loopback");
    if (!proc_is_open(q) || !we_are_no_service(q) ||
        !find_other_end(q, ours, theirs, &before))
        return false;
    if (p2p_caller_find_listeners(&q->listeners) != P2P_OK)
        return refuse(q, "cannot list the sockets that listen");
    if (p2p_caller_add_inode(&q->connection, before.inode) != P2P_OK)
        return refuse(q, "out of memory");
    if (!holders_are_fine(q) || !find_other_end(q, ours, theirs, &after))
        return false;
    if (after.inode != before.inode)
        return refuse(q, "the other end changed");
    return true;
}

enum p2p_caller
p2p_caller_check(const struct sockaddr *ours, const struct sockaddr *theirs,
                 char *reason, size_t cap)
{
    struct inquiry q = {.reason = reason, .cap = cap};
    bool is_ours;

    if (reason != NULL && cap > 0)
        *reason = '\0';
    is_ours = is_own(&q, ours, theirs);
    p2p_caller_free_inodes(&q.connection);
    p2p_caller_free_inodes(&q.listeners);
    return is_ours ? P2P_CALLER_SAME_USER : P2P_CALLER_UNPROVEN;
}

enum p2p_err
p2p_caller_find_server(const struct sockaddr *ours, const struct sockaddr *theirs,
                       uid_t *uid)
{
    struct p2p_caller_socket s;
    enum p2p_err err = p2p_caller_find_socket(theirs, ours, &s);

    *uid = s.uid;
    return err;
}
