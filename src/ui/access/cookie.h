/* The cookie of a browser: its name, and setting and reading it. */
#ifndef P2P_UI_COOKIE_H
#define P2P_UI_COOKIE_H

#include <stdbool.h>
#include <stddef.h>

#include "http/http.h"

struct ui_access;

/* Sets the cookie in the answer. With TLS, it is valid for TLS only. */
void ui_cookie_set(struct http_request *req, const struct ui_access *access,
                   const char *token);
/* Reads the token from the cookie; false if there is none, or it does not fit. */
bool ui_cookie_find(const struct http_request *req, const struct ui_access *access,
                    char *out, size_t cap);

#endif
