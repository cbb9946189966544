/*
 * bus_filter - what a daemon may say on the system bus: register with it, and call
 * Avahi. Pure: bytes in, verdicts out; D-Bus Specification, "Message Protocol" and
 * "Authentication Protocol".
 *
 * Trust boundary: the bytes of a process that may have been taken over.
 */
#ifndef P2P_BUS_FILTER_H
#define P2P_BUS_FILTER_H

#include <stddef.h>
#include <stdint.h>

enum { P2P_BUS_LINE_MAX = 512, P2P_BUS_MESSAGE_MAX = 65536 };

enum p2p_bus_verdict {
    P2P_BUS_MORE,   /* incomplete: ask again when more bytes are there */
    P2P_BUS_PASS,   /* `*size` bytes may go to the bus */
    P2P_BUS_DROP,   /* `*size` bytes are skipped: answers and signals of the daemon */
    P2P_BUS_BEGIN,  /* as PASS; messages follow */
    P2P_BUS_REFUSE, /* nothing more of this connection goes to the bus */
};

/* The first line of `len` bytes before the messages begin, without the byte NUL that
 * opens a connection. */
enum p2p_bus_verdict p2p_bus_filter_line(const uint8_t *bytes, size_t len,
                                         size_t *size);
/* The first message of `len` bytes. */
enum p2p_bus_verdict p2p_bus_filter_message(const uint8_t *bytes, size_t len,
                                            size_t *size);

#endif
