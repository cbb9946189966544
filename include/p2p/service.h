/*
 * service - the life of a daemon: one thread waits for signals, the ready line,
 * systemd.
 */
#ifndef P2P_SERVICE_H
#define P2P_SERVICE_H

#include <stdbool.h>

#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* Blocks SIGTERM, SIGINT and SIGHUP, ignores SIGPIPE, calls p2p_hardening_begin, and
 * allows as many descriptors as possible. The user's umask is kept, because it decides
 * which users may read downloaded files; secret files are created with mode 0600. Call
 * it first in main, before any thread starts. SIGINT stays ignored if the parent
 * ignored it: so when a script starts daemons with `&`, Ctrl-C stops only the script,
 * and the script stops the daemons in its own order. */
void p2p_service_begin(void);

/* True if this program may open as many files as a daemon needs; otherwise logs the
 * reason. */
bool p2p_service_has_descriptors(void);
/* Logs the reason why a daemon cannot listen, and what to do: the same text for all
 * daemons. */
void p2p_service_say_no_listener(enum p2p_err err, const char *host, unsigned port);

/* The exit status of a daemon that ended with this: 0, 2 (usage) or 1. */
int p2p_service_exit_status(enum p2p_err err);

/* Prints `ready <program> <format...>` on stdout (flushed) and notifies systemd (if
 * built with it). */
void p2p_service_ready(const char *program, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* True if a SIGHUP means that the program's terminal was closed (`code` and `pid` are
 * from its siginfo), and not that the settings must be read again: the program had a
 * terminal at the start and has none now, and the signal came from the kernel, from the
 * session's leader (a shell that passes it on) or from the process that started it.
 * Never after nohup. */
bool p2p_service_has_lost_terminal(int code, int pid);

/* The action of SIGHUP while p2p_service_wait waits, on its thread; NULL: none. */
typedef void p2p_service_hangup_fn(void *arg);
/* Sets the function. Call it before p2p_service_wait. */
void p2p_service_on_hangup(p2p_service_hangup_fn *fn, void *arg);

/* Waits for SIGTERM or SIGINT (returns). A second signal afterwards ends the process at
 * once (p2p_service_end_at_next). Feeds the systemd watchdog while it waits. */
void p2p_service_wait(void);

/* Signals this close to the first one are the same request: timeout(1), and some
 * shells, send a signal to the program and then to its group. */
enum { P2P_SERVICE_SAME_MS = 500 };
/* Call it when a signal of the set has come: from now on, the next one that is not the
 * same request ends the process, as if nobody had blocked it. The caller no longer
 * waits for these signals itself, and every thread blocks them. */
void p2p_service_end_at_next(const void *sigset);

/* Ends the wait from inside the program (a fatal error of a thread). Any thread; once
 * it is over, more calls do nothing. */
void p2p_service_stop(void);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
