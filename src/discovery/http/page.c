/* The assembler includes the files unchanged; the Makefile knows the dependency. */
#include "discovery/http/page.h"

#define INCLUDE(name, file)                     \
    __asm__(".section .rodata\n"                \
            ".global " name "\n"                \
            ".global " name "_len\n" name ":\n" \
            ".incbin \"" file "\"\n"            \
            "1:\n"                              \
            ".balign 8\n" name "_len:\n"        \
            ".quad 1b - " name "\n"             \
            ".previous\n")

INCLUDE("discovery_page_html", "web/link/index.html");
INCLUDE("discovery_page_css", "web/link/link.css");
INCLUDE("discovery_page_js", "web/link/link.js");
