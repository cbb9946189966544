/* The text of docs/openapi.yaml when the program was built. */
#ifndef P2P_UI_OPENAPI_H
#define P2P_UI_OPENAPI_H

#include <stdint.h>

extern const char ui_openapi_text[];
extern const uint64_t ui_openapi_len;

#endif
