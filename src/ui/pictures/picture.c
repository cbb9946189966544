#include "ui/pictures/picture.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef P2P_WITH_JPEG
#include <jpeglib.h>
#endif
#ifdef P2P_WITH_PNG
#include <png.h>
#endif
#ifdef P2P_WITH_WEBP
#include <webp/decode.h>
#endif

#ifdef P2P_WITH_JPEG

#define QUALITY   80
#define SCANS_MAX 200 /* of a progressive file: a small one could have thousands */

bool
ui_picture_is_possible(void)
{
    return true;
}

static bool
is_allowed(uint64_t width, uint64_t height)
{
    return width > 0 && height > 0 && width <= UI_PICTURE_PIXELS &&
           height <= UI_PICTURE_PIXELS / width;
}

/* ---- JPEG ---- */

struct failure {
    struct jpeg_error_mgr base;
    jmp_buf back;
};

static void
on_error(j_common_ptr info)
{
    longjmp(((struct failure *)info->err)->back, 1);
}

static void
on_message(j_common_ptr info, int level)
{
    (void)info;
    (void)level;
}

static void
on_progress(j_common_ptr info)
{
    if (info->is_decompressor &&
        ((j_decompress_ptr)info)->input_scan_number > SCANS_MAX)
        on_error(info);
}

/* The largest of 1, 2, 4, 8 that leaves `side` pixels. */
static unsigned
denominator(uint32_t width, uint32_t height, unsigned side)
{
    uint32_t longer = width > height ? width : height;
    unsigned by = 8;

    while (by > 1 && longer / by < side)
        by /= 2;
    return by;
}

static bool
read_jpeg(const uint8_t *in, size_t len, unsigned side, struct ui_picture *out)
{
    struct jpeg_decompress_struct info;
    struct jpeg_progress_mgr progress = {.progress_monitor = on_progress};
    struct failure failure;
    uint8_t *volatile rgb = NULL;
    volatile bool done = false;

    info.err = jpeg_std_error(&failure.base);
    failure.base.error_exit = on_error;
    failure.base.emit_message = on_message;
    jpeg_create_decompress(&info);
    if (setjmp(failure.back) == 0) {
        info.progress = &progress;
        jpeg_mem_src(&info, in, (unsigned long)len);
        jpeg_read_header(&info, TRUE);
        info.scale_num = 1;
        info.scale_denom = denominator(info.image_width, info.image_height, side);
        info.out_color_space = JCS_RGB;
        jpeg_calc_output_dimensions(&info);
        if (is_allowed(info.output_width, info.output_height) &&
            (rgb = malloc((size_t)info.output_width * info.output_height * 3)) !=
                NULL) {
            jpeg_start_decompress(&info);
            while (info.output_scanline < info.output_height) {
                JSAMPROW row =
                    rgb + (size_t)info.output_scanline * info.output_width * 3;
                jpeg_read_scanlines(&info, &row, 1);
            }
            *out = (struct ui_picture){rgb, info.output_width, info.output_height};
            done = true;
        }
    }
    jpeg_destroy_decompress(&info);
    if (!done)
        free(rgb);
    return done;
}

static uint8_t *
write_jpeg(const struct ui_picture *p, size_t *out_len)
{
    struct jpeg_compress_struct info;
    struct failure failure;
    unsigned char *out = NULL;
    unsigned long len = 0;

    info.err = jpeg_std_error(&failure.base);
    failure.base.error_exit = on_error;
    jpeg_create_compress(&info);
    if (setjmp(failure.back) != 0) {
        jpeg_destroy_compress(&info);
        return NULL; /* the process ends soon */
    }
    jpeg_mem_dest(&info, &out, &len);
    info.image_width = p->width;
    info.image_height = p->height;
    info.input_components = 3;
    info.in_color_space = JCS_RGB;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, QUALITY, TRUE);
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < info.image_height) {
        JSAMPROW row = p->rgb + (size_t)info.next_scanline * p->width * 3;
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    *out_len = len;
    return out;
}

/* ---- PNG and WebP ---- */

#ifdef P2P_WITH_PNG
static bool
read_png(const uint8_t *in, size_t len, struct ui_picture *out)
{
    static const png_color paper = {255, 255, 255};
    png_image image = {.version = PNG_IMAGE_VERSION};
    uint8_t *rgb = NULL;

    if (!png_image_begin_read_from_memory(&image, in, len))
        return false;
    image.format = PNG_FORMAT_RGB;
    if (is_allowed(image.width, image.height))
        rgb = malloc((size_t)image.width * image.height * 3);
    if (rgb != NULL && png_image_finish_read(&image, &paper, rgb, 0, NULL)) {
        *out = (struct ui_picture){rgb, image.width, image.height};
        return true;
    }
    png_image_free(&image);
    free(rgb);
    return false;
}
#endif

#ifdef P2P_WITH_WEBP
static bool
read_webp(const uint8_t *in, size_t len, struct ui_picture *out)
{
    int width, height;
    uint8_t *rgb;

    if (!WebPGetInfo(in, len, &width, &height) ||
        !is_allowed((uint64_t)width, (uint64_t)height) ||
        (rgb = malloc((size_t)width * (size_t)height * 3)) == NULL)
        return false;
    if (WebPDecodeRGBInto(in, len, rgb, (size_t)width * (size_t)height * 3,
                          width * 3) == NULL) {
        free(rgb);
        return false;
    }
    *out = (struct ui_picture){rgb, (uint32_t)width, (uint32_t)height};
    return true;
}
#endif

static bool
read_any(const uint8_t *in, size_t len, unsigned side, struct ui_picture *out)
{
    if (len >= 3 && memcmp(in, "\xff\xd8\xff", 3) == 0)
        return read_jpeg(in, len, side, out);
#ifdef P2P_WITH_PNG
    if (len >= 8 && memcmp(in, "\x89PNG\r\n\x1a\n", 8) == 0)
        return read_png(in, len, out);
#endif
#ifdef P2P_WITH_WEBP
    if (len >= 12 && memcmp(in, "RIFF", 4) == 0 && memcmp(in + 8, "WEBP", 4) == 0)
        return read_webp(in, len, out);
#endif
    return false;
}

/* The preview of the camera comes first: it costs least. */
static bool
read_smallest(const uint8_t *in, size_t len, unsigned side, const struct ui_exif *exif,
              struct ui_picture *out)
{
    struct ui_picture thumb = {0};
    bool has_thumb =
        exif->thumb != NULL && read_jpeg(exif->thumb, exif->thumb_len, side, &thumb);

    if (has_thumb && (thumb.width >= side || thumb.height >= side)) {
        *out = thumb;
        return true;
    }
    if (read_any(in, len, side, out)) {
        free(thumb.rgb);
        return true;
    }
    *out = thumb;
    return has_thumb;
}

uint8_t *
ui_picture_shrink(const uint8_t *in, size_t len, unsigned side, size_t *out_len)
{
    bool is_jpeg = len >= 3 && memcmp(in, "\xff\xd8\xff", 3) == 0;
    struct ui_exif exif = {.orientation = 1};
    struct ui_picture p = {0};
    uint8_t *out = NULL;

    if (side < UI_PICTURE_SIDE_MIN || side > UI_PICTURE_SIDE_MAX)
        return NULL;
    if (is_jpeg)
        exif = ui_exif_read(in, len);
    if (read_smallest(in, len, side, &exif, &p) && ui_picture_scale(&p, side) &&
        ui_picture_turn(&p, exif.orientation))
        out = write_jpeg(&p, out_len);
    free(p.rgb);
    return out;
}

#else

bool
ui_picture_is_possible(void)
{
    return false;
}

uint8_t *
ui_picture_shrink(const uint8_t *in, size_t len, unsigned side, size_t *out_len)
{
    (void)in;
    (void)len;
    (void)side;
    (void)out_len;
    return NULL;
}

#endif
