#include "cli/send/qr.h"

#ifdef P2P_WITH_QRENCODE
#include <qrencode.h>
#include <stdbool.h>
#include <stdio.h>

#define QUIET 2 /* modules around the code; scanners of phones need no more */

static bool
is_dark(const QRcode *qr, int x, int y)
{
    return x >= 0 && y >= 0 && x < qr->width && y < qr->width &&
           (qr->data[y * qr->width + x] & 1) != 0;
}

/* Two modules a character, the upper and the lower half. White is printed, so that the
 * code is right on a dark terminal; the colors are set for a light one. */
void
qr_print(const char *text)
{
    static const char *const halves[2][2] = {{"\xe2\x96\x88", "\xe2\x96\x80"},
                                             {"\xe2\x96\x84", " "}};
    QRcode *qr = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);

    for (int y = -QUIET; qr != NULL && y < qr->width + QUIET; y += 2) {
        fputs("    \033[40;97m", stdout);
        for (int x = -QUIET; x < qr->width + QUIET; x++)
            fputs(halves[is_dark(qr, x, y)][is_dark(qr, x, y + 1)], stdout);
        fputs("\033[0m\n", stdout);
    }
    if (qr != NULL)
        putchar('\n');
    QRcode_free(qr);
}
#else
void
qr_print(const char *text)
{
    (void)text;
}
#endif
