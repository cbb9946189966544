/* GET /api/qr: a QR code as SVG. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/crypto.h"
#include "p2p/net.h"
#include "ui/access/access.h"
#include "ui/access/addresses.h"
#include "ui/reply/refuse.h"

#ifdef P2P_WITH_QRENCODE
#include <qrencode.h>

#define QUIET   4  /* modules around the code, as the standard requires */
#define RUN_MAX 32 /* bytes of one run of dark modules in the path */

/* Dark modules as one path, a run in each row at a time: "M4 4h7v1h-7z". */
static size_t
draw_rows(const QRcode *qr, char *out)
{
    size_t len = 0;

    for (int y = 0; y < qr->width; y++)
        for (int x = 0, n; x<qr->width; x += n> 0 ? n : 1) {
            const unsigned char *row = qr->data + y * qr->width;
            for (n = 0; x + n < qr->width && (row[x + n] & 1); n++)
                ;
            if (n > 0)
                len += (size_t)snprintf(out + len, RUN_MAX, "M%d %dh%dv1h-%dz",
                                        x + QUIET, y + QUIET, n, n);
        }
    out[len] = '\0';
    return len;
}

static char *
draw(const QRcode *qr, size_t *len)
{
    size_t cap = 512 + (size_t)qr->width * ((size_t)qr->width / 2 + 1) * RUN_MAX;
    int side = qr->width + 2 * QUIET;
    char *svg = malloc(cap);

    if (svg == NULL)
        return NULL;
    *len = (size_t)snprintf(
        svg, cap,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
        "shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h%dv%dH0z\"/>"
        "<path fill=\"#000\" d=\"",
        side, side, side, side);
    *len += draw_rows(qr, svg + *len);
    memcpy(svg + *len, "\"/></svg>\n", 11);
    *len += 10;
    return svg;
}

char *
ui_qr_draw(const char *text, size_t *len)
{
    QRcode *qr = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M);
    char *svg = qr != NULL ? draw(qr, len) : NULL;

    QRcode_free(qr);
    return svg;
}

static void
reply_code(struct http_request *req, const char *text)
{
    size_t len = 0;
    char *svg = ui_qr_draw(text, &len);

    if (svg != NULL)
        http_reply_owned(req, 200, "image/svg+xml", svg, len);
    else
        http_fail(req, 400, "malformed", "the text is too long for a QR code");
}
#else
char *
ui_qr_draw(const char *text, size_t *len)
{
    (void)text, (void)len;
    return NULL;
}

static void
reply_code(struct http_request *req, const char *text)
{
    (void)text;
    http_fail(req, 404, "no_qr", "this program was built without libqrencode");
}
#endif

/* ---- what it says ---- */

static void
percent_encode(const char *text, char *out, size_t cap)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    size_t len = 0;

    for (; *text != '\0' && len + 4 < cap; text++) {
        if (strchr(plain, *text) != NULL)
            out[len++] = *text;
        else
            len += (size_t)snprintf(out + len, 4, "%%%02X", (unsigned char)*text);
    }
    out[len] = '\0';
}

/* The address to encode: one of our own, never text from a request. */
static const char *
choose_base(struct http_request *req, struct ui_urls *urls)
{
    const char *base = http_query(req, "base");

    if (urls->count == 0) {
        http_fail(req, 404, "no_address",
                  "other devices cannot reach this dashboard (see --host)");
        return NULL;
    }
    for (size_t i = 0; i < urls->count && base != NULL; i++)
        if (strcmp(urls->at[i], base) == 0)
            return base;
    if (base == NULL)
        return urls->at[0];
    http_fail(req, 400, "malformed", "base must be one of the urls of /api/status");
    return NULL;
}

static void
reply_dashboard(struct http_request *req, struct ui_access *access, const char *base)
{
    char code[UI_CODE_LEN + 1], text[UI_URL_MAX + 32];
    uint64_t left_s;
    bool may_see = ui_caller_is_owner(ui_access_caller(access, req, NULL));

    if (may_see &&
        ui_pairing_current(&access->pairing, p2p_now_ms() / 1000, code, &left_s))
        snprintf(text, sizeof(text), "%s#pair=%s", base, code);
    else
        snprintf(text, sizeof(text), "%s", base);
    reply_code(req, text);
    p2p_wipe(text, sizeof(text));
    p2p_wipe(code, sizeof(code));
}

static void
reply_share(struct http_request *req, struct ui_access *access, const char *base)
{
    const char *name = http_query(req, "name");
    char encoded[3 * P2P_NAME_MAX + 1], text[sizeof(encoded) + UI_URL_MAX + 16];
    struct p2p_share *share;
    const char *inner;
    struct stat st;
    int fd = -1;

    if (!ui_check_name(req, name))
        return;
    share = p2p_shares_of(access->shares, name, &inner);
    if (share == NULL ||
        p2p_root_open_file(p2p_share_root(share), inner, &fd, &st) != P2P_OK) {
        ui_fail(req, P2P_ERR_NOT_FOUND, "there is no such shared file");
        return;
    }
    p2p_fd_close(&fd);
    percent_encode(name, encoded, sizeof(encoded));
    snprintf(text, sizeof(text), "%s#file=%s", base, encoded);
    reply_code(req, text);
}

void
ui_api_qr(struct http_request *req, void *arg)
{
    const char *target = http_query(req, "target"), *base;
    struct ui_urls urls;

    if (target == NULL ||
        (strcmp(target, "dashboard") != 0 && strcmp(target, "share") != 0)) {
        http_fail(req, 400, target == NULL ? "missing_parameter" : "malformed",
                  "target must be dashboard or share");
        return;
    }
    ui_urls_find(arg, req, &urls);
    if ((base = choose_base(req, &urls)) == NULL)
        return;
    if (strcmp(target, "share") == 0)
        reply_share(req, arg, base);
    else
        reply_dashboard(req, arg, base);
}
