/*
 * Files as answers: ranges, conditions, names for the browser, and the files of a web
 * folder.
 */
#ifndef P2P_HTTP_FILE_H
#define P2P_HTTP_FILE_H

#include <sys/types.h>

#include "http/http.h"

struct http_waitlist;

/* Bytes that are made while they are sent, in order and by one thread at a time. */
struct http_source_of_bytes {
    /* Called once, before the first read: the answer begins at byte `first`. */
    enum p2p_err (*begin)(void *arg, uint64_t first);
    /* Makes 1 to `max` of the bytes that follow. Returns their number; -1: the answer
     * is broken off; 0, with a list: they are not there yet. Runs on a thread of the
     * server, so it may wait for a disk only. */
    ssize_t (*read)(void *arg, void *out, size_t max);
    void (*end)(void *arg); /* the last call */
    void *arg;
    /* May be NULL: is woken when there may be more bytes. Meanwhile the request waits
     * there without a thread, at most wait_ms for each piece; then, or when its client
     * has gone, the answer is broken off. */
    struct http_waitlist *list;
    unsigned wait_ms;
};

struct http_file {
    int fd; /* taken in every case */
    /* Not NULL: the bytes come from here instead; its `end` is called in every case.
     * Needs `etag`. Copied. */
    const struct http_source_of_bytes *source;
    uint64_t size;
    const char *etag;     /* without quotes; NULL: from size and mtime of the file */
    const char *type;     /* NULL: application/octet-stream */
    /* If not NULL, the answer has Content-Disposition: attachment with this name
     * (UTF-8), and a Content-Security-Policy that makes the file harmless if a browser
     * shows it anyway. */
    const char *download_name;
    /* The browser shows it: Content-Disposition is inline. For types without scripts of
     * their own only. */
    bool is_shown;
    /* With download_name: replaces that policy. Browsers open no PDF in a sandbox. */
    const char *policy;
};

/*
 * Answers 200, 206, 304 or 416 (RFC 9110: Range with one range, If-Range,
 * If-None-Match). More than one range is answered with the whole file, as the RFC
 * allows.
 */
void http_reply_file(struct http_request *req, const struct http_file *file);

/* The content type that the end of this name stands for. */
const char *http_type_of(const char *path);

/* Parses one byte range of a Range header for a file of this size. */
enum http_range { HTTP_RANGE_NONE, HTTP_RANGE_PART, HTTP_RANGE_BAD };
enum http_range http_range_parse(const char *value, uint64_t size, uint64_t *first,
                                 uint64_t *len);

/* True if an Accept-Encoding header (NULL: none) allows gzip (RFC 9110, 12.5.3). */
bool http_accepts_gzip(const char *value);

/* Writes `KIND; filename="..."; filename*=UTF-8''...` (RFC 6266), cut if `out` is too
 * short. `kind` is "attachment" or "inline". */
void http_disposition(const char *kind, const char *name, char *out, size_t size);

#endif
