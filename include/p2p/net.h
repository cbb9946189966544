/*
 * net - TCP sockets with deadlines; handles partial I/O, EINTR and SIGPIPE. IPv4 and
 * IPv6. Descriptors are non-blocking and close-on-exec. Times are milliseconds of
 * CLOCK_MONOTONIC (p2p_now_ms); a deadline is a point in that time, P2P_NO_DEADLINE
 * means never. Thread-safe; a descriptor has at most one reader and one writer at a
 * time.
 */
#ifndef P2P_NET_H
#define P2P_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "p2p/addr.h"
#include "p2p/clock.h"
#include "p2p/err.h"
#include "p2p/io.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* The address of a socket's other end, in the form of addr.h (v4-mapped v6 as v4, a
 * link-local one with its zone). */
void p2p_addr_from_sockaddr(const struct sockaddr *sa, struct p2p_addr *out);
/* True for 127.0.0.0/8, ::1 and the name "localhost". Looks up no names. */
bool p2p_addr_is_loopback(const struct p2p_addr *addr);
/* This machine's address for other machines, as text: the one of the interface with the
 * default route. False if there is no such route. Sends nothing. */
bool p2p_net_own_address(char *out, size_t cap);
/*
 * The addresses of this machine that other machines may reach, each with this port: of
 * all interfaces that are up, without loopback and link-local addresses. The one above
 * comes first, then IPv4, then IPv6. At most `max`; returns their number.
 */
size_t p2p_net_own_addresses(uint16_t port, struct p2p_addr *out, size_t max);
/* The router of this machine's default route (IPv4). False: there is none. */
bool p2p_net_gateway(uint8_t out[4]);
/* A network that an interface of this machine is in. */
struct p2p_net_link {
    uint8_t ip[16];  /* IPv4: as ::ffff:a.b.c.d */
    unsigned prefix; /* bits of it */
};
/* Those of all interfaces that are up; at most `max`; returns their number. */
size_t p2p_net_links(struct p2p_net_link *out, size_t max);
/*
 * Does this source belong to the local networks? Loopback, private (RFC 1918), unique
 * local and link-local addresses do, and those in one of `links`. False for any other
 * one, also for shared addresses (RFC 6598) and for other families. Pure.
 */
bool p2p_net_is_near(const struct sockaddr *from, const struct p2p_net_link *links,
                     size_t count);
/*
 * Returns a descriptor that becomes readable when an address or a route of this machine
 * has changed; -1: the kernel does not report changes. Drain it, then read the current
 * addresses.
 */
int p2p_net_watch_open(void);
/* Discards all messages that wait on a descriptor of p2p_net_watch_open. Does not
 * block. */
void p2p_net_watch_drain(int fd);

/*
 * Listens. "0.0.0.0" and "::" listen on both families where the system has both.
 * reuse_port: SO_REUSEPORT, for several listeners on one port. Port 0: the system
 * chooses; `*port` gets the actual one. IN_USE, PERMISSION.
 */
P2P_MUST_CHECK enum p2p_err p2p_net_listen(const char *host, uint16_t port,
                                           bool reuse_port, int backlog, int *fd,
                                           uint16_t *actual_port);

/* Resolves and connects, trying each address in turn. UNREACHABLE, TIMEOUT. Sets
 * TCP_NODELAY. After UNREACHABLE, errno is the
 * reason of the last address that was tried. */
P2P_MUST_CHECK enum p2p_err p2p_net_connect(const struct p2p_addr *addr,
                                            uint64_t deadline_ms, int *fd);
/* The same, but CANCELLED as soon as `stop_fd` is readable (an eventfd; -1: never). */
P2P_MUST_CHECK enum p2p_err p2p_net_connect_or_stop(const struct p2p_addr *addr,
                                                    uint64_t deadline_ms, int stop_fd,
                                                    int *fd);

/* Reads exactly `len` bytes; CLOSED, TIMEOUT, SYS. */
P2P_MUST_CHECK enum p2p_err p2p_net_read(int fd, void *out, size_t len,
                                         uint64_t deadline_ms);
/* Writes exactly `len` bytes; CLOSED, TIMEOUT, SYS. */
P2P_MUST_CHECK enum p2p_err p2p_net_write(int fd, const void *data, size_t len,
                                          uint64_t deadline_ms);
/* Writes all bytes of `iov` and changes its entries; CLOSED, TIMEOUT, SYS. */
P2P_MUST_CHECK enum p2p_err p2p_net_writev(int fd, struct iovec *iov, int count,
                                           uint64_t deadline_ms);
/* Reads what has arrived: at least one byte, at most `cap`. */
P2P_MUST_CHECK enum p2p_err p2p_net_read_some(int fd, void *out, size_t cap,
                                              uint64_t deadline_ms, size_t *got);

/* Reads without waiting: BUSY if it would block, CLOSED at the end. For event loops. */
P2P_MUST_CHECK enum p2p_err p2p_net_try_read(int fd, void *out, size_t cap,
                                             size_t *got);
/* Writes without waiting; `*sent` may be less than `len`. BUSY if it would block. */
P2P_MUST_CHECK enum p2p_err p2p_net_try_write(int fd, const void *data, size_t len,
                                              size_t *sent);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
