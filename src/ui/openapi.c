/* The assembler puts the file in as it is; make knows the dependency. */
#include "ui/openapi.h"

__asm__(".section .rodata\n"
        ".global ui_openapi_text\n"
        ".global ui_openapi_end\n"
        "ui_openapi_text:\n"
        ".incbin \"docs/openapi.yaml\"\n"
        "ui_openapi_end:\n"
        ".byte 0\n"
        ".previous\n");
