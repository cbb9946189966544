/*
 * web - the files of the dashboard, read once when p2p-ui starts. Their version is a
 * hash of all of them. The page names its scripts, styles and texts beneath
 * "v/VERSION/", so a browser may keep these for ever, and never mixes those of two
 * versions: a program knows only its own version, also when the files on disk were
 * replaced meanwhile. Nothing changes after ui_web_open, so any thread may read.
 */
#ifndef P2P_UI_WEB_H
#define P2P_UI_WEB_H

#include <stdbool.h>
#include <stddef.h>

#include "p2p/err.h"

struct http_request;
struct ui_web;

/* Reads the folder: regular files, no links, no names that begin with a dot. FILE.gz is
 * the compressed copy of FILE, unless it is older. The result is *returned owned*.
 * NOT_FOUND: there is no index.html. RANGE: too many files or bytes. */
P2P_MUST_CHECK enum p2p_err ui_web_open(int dir_fd, struct ui_web **out);
void ui_web_free(struct ui_web *web);

/* Twelve hexadecimal digits. NULL: "". */
const char *ui_web_version(const struct ui_web *web);

struct ui_web_page {
    const void *bytes; /* borrowed from the ui_web */
    size_t len;
    const char *type;
    const char *tag; /* of these bytes, without quotes */
    bool is_packed;  /* with gzip */
    bool is_lasting; /* the address never means other bytes */
};
enum ui_web_found { UI_WEB_FOUND, UI_WEB_MISSING, UI_WEB_OTHER_VERSION };

/* What lies at this path (relative; "" and "x/" stand for index.html there). */
enum ui_web_found ui_web_find(const struct ui_web *web, const char *path,
                              bool accepts_gzip, struct ui_web_page *out);

/* Answers with it, or with 404: `old_version` for a file of another version. */
void ui_web_reply(struct http_request *req, const struct ui_web *web, const char *path);

#endif
