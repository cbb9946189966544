/* The assembler includes the file unchanged; the Makefile knows the dependency. */
#include "ui/openapi.h"

__asm__(".section .rodata\n"
        ".global ui_openapi_text\n"
        ".global ui_openapi_len\n"
        "ui_openapi_text:\n"
        ".incbin \"docs/openapi.yaml\"\n"
        "1:\n"
        ".balign 8\n"
        "ui_openapi_len:\n"
        ".quad 1b - ui_openapi_text\n"
        ".previous\n");
