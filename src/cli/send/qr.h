/* qr - a text as a QR code on a terminal. */
#ifndef CLI_QR_H
#define CLI_QR_H

/* Prints it to standard output, dark on light; nothing if this program was built
 * without libqrencode, or the text is too long. */
void qr_print(const char *text);

#endif
