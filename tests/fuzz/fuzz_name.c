/* Names from outside: an allowed name contains nothing that is forbidden. */
#include <string.h>

#include "fuzz.h"
#include "p2p/bytes.h"
#include "p2p/limits.h"
#include "p2p/path.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *name = (const char *)data;
    bool one_part = p2p_name_check(name, size, false) == P2P_OK;
    bool any = p2p_name_check(name, size, true) == P2P_OK;

    MUST(any || !one_part);
    MUST(any == (p2p_name_problem(name, size, true) == NULL));
    if (!any)
        return 0;
    MUST(size > 0 && size <= P2P_NAME_MAX && p2p_utf8_is_valid(data, size));
    MUST(data[0] != '/' && data[0] != '.' && data[size - 1] != '/');
    MUST(memmem(data, size, "//", 2) == NULL && memmem(data, size, "/.", 2) == NULL);
    MUST(memchr(data, '\\', size) == NULL && memchr(data, 0, size) == NULL);
    MUST(!one_part || memchr(data, '/', size) == NULL);
    for (size_t i = 0; i < size; i++)
        MUST(data[i] >= 0x20 && data[i] != 0x7f);
    return 0;
}
