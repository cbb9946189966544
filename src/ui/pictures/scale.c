/* Pictures in memory: smaller, and upright. */
#include <stdlib.h>

#include "ui/pictures/picture.h"

/* The average of the source's pixels in columns x0..x1 and rows y0..y1, ends excluded.
 */
static void
average(const struct ui_picture *p, uint32_t x0, uint32_t x1, uint32_t y0, uint32_t y1,
        uint8_t out[3])
{
    uint64_t sum[3] = {0, 0, 0}, count = (uint64_t)(x1 - x0) * (y1 - y0);

    for (uint32_t y = y0; y < y1; y++) {
        const uint8_t *at = p->rgb + ((size_t)y * p->width + x0) * 3;
        for (uint32_t x = x0; x < x1; x++, at += 3) {
            sum[0] += at[0];
            sum[1] += at[1];
            sum[2] += at[2];
        }
    }
    for (int i = 0; i < 3; i++)
        out[i] = (uint8_t)(sum[i] / count);
}

static void
put(struct ui_picture *p, uint8_t *rgb, uint32_t width, uint32_t height)
{
    free(p->rgb);
    *p = (struct ui_picture){rgb, width, height};
}

/* At least 1. */
static uint32_t
part(uint32_t length, unsigned side, uint32_t longer)
{
    uint32_t n = (uint32_t)((uint64_t)length * side / longer);

    return n > 0 ? n : 1;
}

bool
ui_picture_scale(struct ui_picture *p, unsigned side)
{
    uint32_t longer = p->width > p->height ? p->width : p->height;
    uint32_t w, h;
    uint8_t *rgb;

    if (longer <= side)
        return true;
    w = part(p->width, side, longer);
    h = part(p->height, side, longer);
    if ((rgb = malloc((size_t)w * h * 3)) == NULL)
        return false;
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++)
            average(p, (uint32_t)((uint64_t)x * p->width / w),
                    (uint32_t)(((uint64_t)x + 1) * p->width / w),
                    (uint32_t)((uint64_t)y * p->height / h),
                    (uint32_t)(((uint64_t)y + 1) * p->height / h),
                    rgb + ((size_t)y * w + x) * 3);
    put(p, rgb, w, h);
    return true;
}

bool
ui_picture_turn(struct ui_picture *p, unsigned orientation)
{
    /* Bits: swap the axes, mirror columns, mirror rows of the source. */
    static const uint8_t how[9] = {0, 0, 2, 6, 4, 1, 5, 7, 3};
    unsigned bits = orientation <= 8 ? how[orientation] : 0;
    uint32_t w = bits & 1 ? p->height : p->width, h = bits & 1 ? p->width : p->height;
    uint8_t *rgb;

    if (bits == 0)
        return true;
    if ((rgb = malloc((size_t)w * h * 3)) == NULL)
        return false;
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++) {
            uint32_t sx = bits & 1 ? y : x, sy = bits & 1 ? x : y;
            const uint8_t *from;
            if (bits & 2)
                sx = p->width - 1 - sx;
            if (bits & 4)
                sy = p->height - 1 - sy;
            from = p->rgb + ((size_t)sy * p->width + sx) * 3;
            for (int i = 0; i < 3; i++)
                rgb[((size_t)y * w + x) * 3 + (size_t)i] = from[i];
        }
    put(p, rgb, w, h);
    return true;
}
