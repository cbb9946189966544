/*
 * picture - makes a small JPEG from a picture in memory: JPEG, PNG, WebP, as far as
 * this build has their libraries. The preview that a camera has put into a JPEG (EXIF)
 * is used where it is large enough, or where the picture itself cannot be read; the
 * result is turned upright. Trust boundary: every byte of the picture. Runs only in the
 * helper process (helper.h).
 */
#ifndef P2P_UI_PICTURE_H
#define P2P_UI_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UI_PICTURE_SIDE_MIN 16u
#define UI_PICTURE_SIDE_MAX 512u
#define UI_PICTURE_PIXELS   (50u * 1000 * 1000) /* of a decoded picture */

/* Three bytes a pixel: red, green, blue. */
struct ui_picture {
    uint8_t *rgb; /* owned, free() */
    uint32_t width, height;
};

/* True if this build can make any. */
bool ui_picture_is_possible(void);
/* A JPEG whose longer side has at most `side` pixels; *returns owned*, free(). NULL:
 * not a picture, or one that is broken, too large or of an unknown kind. */
uint8_t *ui_picture_shrink(const uint8_t *in, size_t len, unsigned side,
                           size_t *out_len);

/* What the EXIF data of a JPEG say. `thumb` points into `in`. */
struct ui_exif {
    const uint8_t *thumb; /* NULL: none */
    size_t thumb_len;
    unsigned orientation; /* 1 to 8 */
};
struct ui_exif ui_exif_read(const uint8_t *in, size_t len);

/* Averages down so that the longer side has at most `side` pixels; never enlarges.
 * False: out of memory. */
bool ui_picture_scale(struct ui_picture *p, unsigned side);
/* EXIF orientation 1 to 8. False: out of memory. */
bool ui_picture_turn(struct ui_picture *p, unsigned orientation);

#endif
