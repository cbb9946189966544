/* docs/openapi.yaml as it was when the program was built. */
#ifndef P2P_UI_OPENAPI_H
#define P2P_UI_OPENAPI_H

#include <stddef.h>

extern const char ui_openapi_text[];
extern const char ui_openapi_end[];

static inline size_t
ui_openapi_len(void)
{
    return (size_t)(ui_openapi_end - ui_openapi_text);
}

#endif
