/*
 * kind - tells from the first bytes of a file whether the dashboard may show it, and as
 * what. Names decide nothing: a file is shown only as what it is. Types that can carry
 * scripts (HTML, SVG, XML) are not in the list; such files are text.
 */
#ifndef P2P_UI_KIND_H
#define P2P_UI_KIND_H

#include <stdbool.h>
#include <stddef.h>

struct ui_kind {
    const char *type;   /* media type; NULL: the dashboard cannot show it */
    bool is_shown;      /* a browser may open it in a page of its own; false for text */
    const char *policy; /* for http_file */
};

/* Bytes that decide; a file that is shorter is whole. */
#define UI_KIND_HEAD 4096u

/* `len` is at most UI_KIND_HEAD. */
struct ui_kind ui_kind_of(const void *head, size_t len);
/* Of an open file. */
struct ui_kind ui_kind_of_file(int fd);

#endif
