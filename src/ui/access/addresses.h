/* The addresses at which other devices reach this dashboard. */
#ifndef P2P_UI_URLS_H
#define P2P_UI_URLS_H

#include <stddef.h>

struct http_request;
struct ui_access;

#define UI_URL_MAX  288
#define UI_URLS_MAX 8

struct ui_urls {
    char at[UI_URLS_MAX][UI_URL_MAX]; /* "http://192.168.1.5:8080/" */
    size_t count;
};

/*
 * The address that the page of this request was opened by comes first, unless it is a
 * loopback name; `req` may be NULL. Then this machine's addresses, IPv4 first; none
 * when it listens on loopback only.
 */
void ui_urls_find(struct ui_access *access, const struct http_request *req,
                  struct ui_urls *out);

#endif
