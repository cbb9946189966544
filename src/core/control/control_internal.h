/* control_internal - the frames of the control socket, for the files of this room. */
#ifndef P2P_CONTROL_INTERNAL_H
#define P2P_CONTROL_INTERNAL_H

#include <stdbool.h>

#include "p2p/control.h"

enum { P2P_CONTROL_HEAD = 4 };

/* Encodes a message with its length; *returns owned* bytes, free(). TOO_LARGE: more
 * than `max` bytes of JSON. */
P2P_MUST_CHECK enum p2p_err p2p_control_pack(const struct cJSON *message, size_t max,
                                             uint8_t **out, size_t *len);
/* The length in the head of a message. */
size_t p2p_control_length(const uint8_t head[P2P_CONTROL_HEAD]);
/* Decodes exactly `len` bytes; *returns owned* object, or NULL if they are anything
 * else. */
struct cJSON *p2p_control_unpack(const uint8_t *bytes, size_t len);
/* True if the other end belongs to the user of this process, or to root. */
bool p2p_control_is_own(int fd);
/* The error that has this name; SYS if none has. */
enum p2p_err p2p_control_error(const char *name);

#endif
