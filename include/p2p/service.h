/*
 * service - how a daemon lives: signals taken by one waiter, the ready line, systemd.
 */
#ifndef P2P_SERVICE_H
#define P2P_SERVICE_H

#include "p2p/err.h"

/* Blocks SIGTERM, SIGINT, SIGHUP and ignores SIGPIPE; umask 077, no core dumps, not dumpable. Call first
 * in main, before any thread starts. */
void p2p_service_begin(void);

/* Prints `ready <program> <format...>` on stdout (flushed) and tells systemd (when built with it). */
void p2p_service_ready(const char *program, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Waits for SIGTERM or SIGINT (returns) ; SIGHUP is ignored. A second signal afterwards ends the
 * process at once. Feeds the systemd watchdog while it waits. */
void p2p_service_wait(void);

/* The same from inside the program (a fatal error of a thread, a test). */
void p2p_service_stop(void);

#endif
