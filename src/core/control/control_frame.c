/* Messages of the control socket, and who is at its other end. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/control/control_internal.h"

enum p2p_err
p2p_control_pack(const cJSON *message, size_t max, uint8_t **out, size_t *len)
{
    char *text = cJSON_PrintUnformatted(message);
    size_t size = text != NULL ? strlen(text) : 0;
    enum p2p_err err = text == NULL ? P2P_ERR_NOMEM : P2P_OK;

    *out = NULL;
    *len = 0;
    if (err == P2P_OK && size > max)
        err = P2P_ERR_TOO_LARGE;
    if (err == P2P_OK && (*out = malloc(P2P_CONTROL_HEAD + size)) == NULL)
        err = P2P_ERR_NOMEM;
    if (err == P2P_OK) {
        for (int i = 0; i < P2P_CONTROL_HEAD; i++)
            (*out)[i] = (uint8_t)(size >> (24 - 8 * i));
        memcpy(*out + P2P_CONTROL_HEAD, text, size);
        *len = P2P_CONTROL_HEAD + size;
    }
    cJSON_free(text);
    return err;
}

size_t
p2p_control_length(const uint8_t head[P2P_CONTROL_HEAD])
{
    return (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 |
           head[3];
}

cJSON *
p2p_control_unpack(const uint8_t *bytes, size_t len)
{
    const char *end = NULL;
    cJSON *object;

    /* A NUL would end the text early for those who read its strings. */
    if (len == 0 || memchr(bytes, '\0', len) != NULL)
        return NULL;
    object = cJSON_ParseWithLengthOpts((const char *)bytes, len, &end, false);
    if (object != NULL &&
        (!cJSON_IsObject(object) || end != (const char *)bytes + len)) {
        cJSON_Delete(object);
        object = NULL;
    }
    return object;
}

bool
p2p_control_is_own(int fd)
{
    struct ucred other;
    socklen_t size = sizeof(other);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &other, &size) == 0 &&
           (other.uid == geteuid() || other.uid == 0);
}

enum p2p_err
p2p_control_error(const char *name)
{
    for (unsigned i = 1; name != NULL && i < P2P_ERR_COUNT; i++)
        if (strcmp(name, p2p_err_name((enum p2p_err)i)) == 0)
            return (enum p2p_err)i;
    return P2P_ERR_SYS;
}
