/* The page for guests of links: the files of web/link when the program was built, so
 * that a registry needs no folder of its own. */
#ifndef P2P_DISCOVERY_PAGE_H
#define P2P_DISCOVERY_PAGE_H

#include <stdint.h>

extern const char discovery_page_html[], discovery_page_css[], discovery_page_js[];
extern const uint64_t discovery_page_html_len, discovery_page_css_len,
    discovery_page_js_len;

#endif
