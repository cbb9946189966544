// uses p2p-ui
/* Small pictures: decoding, EXIF, turning, the cache, the process that decodes and what
 * it cannot do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "p2p/bytes.h"
#include "p2p/sandbox.h"
#include "ui/pictures/cache.h"
#include "ui/pictures/confine.h"
#include "ui/pictures/helper.h"
#include "ui/pictures/picture.h"

struct bytes {
    uint8_t *at;
    size_t len;
};

static void
add(struct bytes *b, const void *data, size_t len)
{
    b->at = realloc(b->at, b->len + len);
    assert_non_null(b->at);
    memcpy(b->at + b->len, data, len);
    b->len += len;
}

static void
add_u32(struct bytes *b, uint32_t value)
{
    uint8_t out[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16),
                      (uint8_t)(value >> 8), (uint8_t)value};

    add(b, out, sizeof(out));
}

static void
add_chunk(struct bytes *b, const char *kind, const uint8_t *data, size_t len)
{
    size_t from = b->len + 4;

    add_u32(b, (uint32_t)len);
    add(b, kind, 4);
    add(b, data, len);
    add_u32(b, (uint32_t)crc32(0, b->at + from, (uInt)(len + 4)));
}

/* The left half is red, the right one blue. */
static struct bytes
png_of(uint32_t width, uint32_t height)
{
    struct bytes png = {NULL, 0}, head = {NULL, 0}, rows = {NULL, 0};
    uLongf size;
    uint8_t *packed;

    add_u32(&head, width);
    add_u32(&head, height);
    add(&head, "\x08\x02\0\0\0", 5);
    for (uint32_t y = 0; y < height; y++) {
        add(&rows, "", 1);
        for (uint32_t x = 0; x < width; x++)
            add(&rows, x < width / 2 ? "\xff\0\0" : "\0\0\xff", 3);
    }
    size = compressBound(rows.len);
    packed = malloc(size);
    assert_int_equal(compress(packed, &size, rows.at, rows.len), Z_OK);
    add(&png, "\x89PNG\r\n\x1a\n", 8);
    add_chunk(&png, "IHDR", head.at, head.len);
    add_chunk(&png, "IDAT", packed, size);
    add_chunk(&png, "IEND", (const uint8_t *)"", 0);
    free(packed);
    free(rows.at);
    free(head.at);
    return png;
}

static struct bytes
jpeg_of(uint32_t width, uint32_t height)
{
    struct bytes png = png_of(width, height), jpeg = {NULL, 0};

    jpeg.at = ui_picture_shrink(png.at, png.len, UI_PICTURE_SIDE_MAX, &jpeg.len);
    assert_non_null(jpeg.at);
    free(png.at);
    return jpeg;
}

/* The size in the frame header of a JPEG. */
static void
assert_jpeg(const uint8_t *in, size_t len, unsigned width, unsigned height)
{
    for (size_t at = 2; at + 9 < len; at += 2 + ((size_t)in[at + 2] << 8 | in[at + 3]))
        if (in[at + 1] >= 0xc0 && in[at + 1] <= 0xc2) {
            assert_int_equal(in[at + 5] << 8 | in[at + 6], height);
            assert_int_equal(in[at + 7] << 8 | in[at + 8], width);
            return;
        }
    fail_msg("no frame");
}

/* `jpeg` with EXIF data: an orientation, and a preview. */
static struct bytes
with_exif(const struct bytes *jpeg, unsigned orientation, const struct bytes *thumb)
{
    struct bytes tiff = {NULL, 0}, out = {NULL, 0};
    uint8_t size[2];

    add(&tiff, "MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", 19);
    add(&tiff, &(uint8_t){(uint8_t)orientation}, 1);
    add(&tiff, "\0\0", 2);
    add_u32(&tiff, 26); /* the second directory */
    add(&tiff, "\0\x02\x02\x01\0\x04\0\0\0\x01", 10);
    add_u32(&tiff, 56);
    add(&tiff, "\x02\x02\0\x04\0\0\0\x01", 8);
    add_u32(&tiff, (uint32_t)thumb->len);
    add(&tiff, "\0\0\0\0", 4);
    assert_int_equal(tiff.len, 56);
    add(&tiff, thumb->at, thumb->len);
    add(&out, "\xff\xd8\xff\xe1", 4);
    size[0] = (uint8_t)((tiff.len + 8) >> 8);
    size[1] = (uint8_t)(tiff.len + 8);
    add(&out, size, 2);
    add(&out, "Exif\0", 6);
    add(&out, tiff.at, tiff.len);
    add(&out, jpeg->at + 2, jpeg->len - 2);
    free(tiff.at);
    return out;
}

/* ---- pictures ---- */

static void
pictures_become_small(void **state)
{
    struct bytes png = png_of(400, 100), jpeg;
    size_t len;

    (void)state;
    jpeg.at = ui_picture_shrink(png.at, png.len, 64, &jpeg.len);
    assert_non_null(jpeg.at);
    assert_jpeg(jpeg.at, jpeg.len, 64, 16);
    free(jpeg.at);
    jpeg.at = ui_picture_shrink(png.at, png.len, 512, &jpeg.len);
    assert_jpeg(jpeg.at, jpeg.len, 400, 100); /* never larger than it was */
    free(png.at);
    png.at = ui_picture_shrink(jpeg.at, jpeg.len, 50, &len);
    assert_jpeg(png.at, len, 50, 13);
    free(png.at);
    free(jpeg.at);
}

static void
pictures_are_turned(void **state)
{
    (void)state;
    for (unsigned turn = 1; turn <= 8; turn++) {
        struct ui_picture p = {malloc(3 * 6), 3, 2};
        /* Where the top left pixel of the upright picture was: EXIF 2.3, 4.6.4. */
        static const uint8_t first[9] = {0, 0, 2, 5, 3, 0, 3, 5, 2};
        assert_non_null(p.rgb);
        for (unsigned i = 0; i < 18; i++)
            p.rgb[i] = (uint8_t)(i / 3);
        assert_true(ui_picture_turn(&p, turn));
        assert_int_equal(p.width, turn < 5 ? 3 : 2);
        assert_int_equal(p.rgb[0], first[turn]);
        free(p.rgb);
    }
}

static void
a_preview_of_the_camera_is_used(void **state)
{
    struct bytes big = jpeg_of(300, 200), small = jpeg_of(160, 106);
    struct bytes both = with_exif(&big, 6, &small);
    struct ui_exif exif = ui_exif_read(both.at, both.len);
    uint8_t *out;
    size_t len;

    (void)state;
    assert_int_equal(exif.orientation, 6);
    assert_int_equal(exif.thumb_len, small.len);
    assert_memory_equal(exif.thumb, small.at, small.len);
    out = ui_picture_shrink(both.at, both.len, 120, &len);
    assert_jpeg(out, len, 79, 120); /* upright */
    free(out);
    /* The preview is too small: the picture itself. */
    out = ui_picture_shrink(both.at, both.len, 240, &len);
    assert_jpeg(out, len, 160, 240);
    free(out);
    /* The picture is broken: the preview. */
    memset(both.at + both.len - big.len + 30, 0xff, 200);
    out = ui_picture_shrink(both.at, both.len, 240, &len);
    assert_jpeg(out, len, 106, 160);
    free(out);
    for (size_t cut = 0; cut < 700; cut++) { /* all prefixes, in exact blocks */
        uint8_t *copy = malloc(cut + (cut == 0));
        memcpy(copy, both.at, cut);
        exif = ui_exif_read(copy, cut);
        assert_true(exif.thumb == NULL || exif.thumb_len < cut);
        free(copy);
    }
    for (size_t bit = 0; bit < (size_t)8 * 70;
         bit++) { /* single-bit flips of the head */
        both.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
        exif = ui_exif_read(both.at, both.len);
        assert_true(exif.orientation >= 1 && exif.orientation <= 8);
        assert_true(exif.thumb == NULL ||
                    (exif.thumb >= both.at &&
                     exif.thumb + exif.thumb_len <= both.at + both.len));
        both.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free(both.at);
    free(small.at);
    free(big.at);
}

static void
what_is_no_picture_gives_none(void **state)
{
    struct bytes png = png_of(40, 40);
    struct bytes huge = {NULL, 0}, head = {NULL, 0};
    size_t len;

    (void)state;
    assert_null(ui_picture_shrink((const uint8_t *)"text", 4, 64, &len));
    assert_null(ui_picture_shrink(png.at, 0, 64, &len));
    assert_null(ui_picture_shrink(png.at, png.len, UI_PICTURE_SIDE_MAX + 1, &len));
    for (size_t cut = 0; cut < png.len - 12; cut++) {
        uint8_t *copy = malloc(cut + (cut == 0)), *out;
        memcpy(copy, png.at, cut);
        out = ui_picture_shrink(copy, cut, 64, &len);
        free(out);
        free(copy);
    }
    /* A small file that claims to be huge. */
    add_u32(&head, 60000);
    add_u32(&head, 60000);
    add(&head, "\x08\x02\0\0\0", 5);
    add(&huge, "\x89PNG\r\n\x1a\n", 8);
    add_chunk(&huge, "IHDR", head.at, head.len);
    add(&huge, png.at + 33, png.len - 33);
    assert_null(ui_picture_shrink(huge.at, huge.len, 64, &len));
    free(huge.at);
    free(head.at);
    free(png.at);
}

/* ---- the helper ---- */

static int
file_of(const void *data, size_t len)
{
    char path[] = "/tmp/picture-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

/* An emulator of one program filters no system calls. */
static bool
has_seccomp(void)
{
    return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0;
}

/* The only child of a process; 0: none. */
static pid_t
child_of(pid_t pid)
{
    char path[64];
    int child = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    if ((f = fopen(path, "re")) == NULL)
        return 0;
    if (fscanf(f, "%d", &child) != 1)
        child = 0;
    fclose(f);
    return child;
}

static void
kill_the_helper(void)
{
    pid_t helper = child_of(child_of(getpid()));

    if (helper > 0)
        assert_int_equal(kill(helper, SIGKILL), 0);
}

static void
the_helper_makes_pictures(void **state)
{
    struct bytes png = png_of(200, 100);
    int helper = ui_helper_start(p2p_sandbox_is_possible() && has_seccomp());
    uint8_t *out;
    size_t len;

    (void)state;
    assert_true(helper >= 0);
    for (int round = 0; round < 3; round++) { /* a bad one stops nothing */
        int good = file_of(png.at, png.len), bad = file_of(png.at, png.len / 2);
        int text = file_of("text", 4), none = file_of("", 0);
        assert_int_equal(ui_helper_ask(helper, bad, 64, &out, &len), P2P_ERR_NOT_FOUND);
        assert_int_equal(ui_helper_ask(helper, text, 64, &out, &len),
                         P2P_ERR_NOT_FOUND);
        assert_int_equal(ui_helper_ask(helper, none, 64, &out, &len),
                         P2P_ERR_NOT_FOUND);
        assert_null(out);
        assert_int_equal(ui_helper_ask(helper, good, 64, &out, &len), P2P_OK);
        assert_jpeg(out, len, 64, 32);
        free(out);
        close(good);
        close(bad);
        close(text);
        close(none);
    }
    kill_the_helper();
    out = NULL;
    for (int left = 600; left > 0 && out == NULL; left--) { /* until there is another */
        int good = file_of(png.at, png.len);
        (void)!ui_helper_ask(helper, good, 64, &out, &len);
        close(good);
        (void)poll(NULL, 0, out == NULL ? 50 : 0);
    }
    assert_non_null(out);
    free(out);
    ui_helper_stop(helper);
    assert_int_equal(wait(NULL), -1);
    assert_int_equal(ui_helper_ask(-1, 0, 64, &out, &len), P2P_ERR_NOT_FOUND);
    free(png.at);
}

/* What an attacker in the process that decodes would try. True if it worked. */
static bool
try_open(void)
{
    return open("/etc/passwd", O_RDONLY) >= 0;
}
static bool
try_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) >= 0;
}
static bool
try_fork(void)
{
    return fork() >= 0;
}
static bool
try_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                0) != MAP_FAILED;
}
static bool
try_file_memory(void)
{
    return mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 0, 0) != MAP_FAILED;
}
static bool
try_kill(void)
{
    return kill(getppid(), 0) == 0;
}
static bool
try_memory(void)
{
    void *volatile much = malloc((size_t)1 << 30);

    return much != NULL;
}

static void
the_process_that_decodes_can_do_nothing_else(void **state)
{
    static bool (*const tries[])(void) = {try_open,  try_socket,      try_fork,
                                          try_code,  try_file_memory, try_kill,
                                          try_memory};

    (void)state;
    if (!p2p_sandbox_is_possible() || !has_seccomp())
        skip();
    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        int in = file_of("x", 1), out = file_of("", 0), status;
        pid_t pid = fork();
        if (pid == 0)
            _exit(!ui_confine(in, out, true) ? 2 : tries[i]() ? 1 : 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (tries[i] == try_memory)
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        else
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
        close(in);
        close(out);
    }
}

/* ---- the cache ---- */

static struct ui_picture_key
key_of(unsigned i)
{
    struct ui_picture_key key = {.side = 64};

    memcpy(key.of.b, &i, sizeof(i));
    return key;
}

static void
the_cache_is_bounded(void **state)
{
    struct ui_picture_cache *cache = ui_picture_cache_new();
    size_t size = UI_CACHE_BYTES / 8, len;
    uint8_t *big = calloc(1, size), *out;
    struct ui_picture_key key;

    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        key = key_of(i);
        ui_picture_cache_put(cache, &key, big, size);
        key = key_of(0); /* is used again and again, and stays */
        assert_true(ui_picture_cache_get(cache, &key, &out, &len));
        assert_int_equal(len, size);
        free(out);
    }
    key = key_of(5);
    assert_false(ui_picture_cache_get(cache, &key, &out, &len));
    for (unsigned i = 100; i < 100 + UI_CACHE_ENTRIES; i++) {
        key = key_of(i);
        ui_picture_cache_put(cache, &key, NULL, 0);
    }
    assert_true(ui_picture_cache_get(cache, &key, &out, &len));
    assert_null(out); /* known to have none */
    key.side = 65;
    assert_false(ui_picture_cache_get(cache, &key, &out, &len));
    key = key_of(0);
    assert_false(ui_picture_cache_get(cache, &key, &out, &len));
    free(big);
    ui_picture_cache_free(cache);
    ui_picture_cache_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest with[] = {
        cmocka_unit_test(pictures_become_small),
        cmocka_unit_test(pictures_are_turned),
        cmocka_unit_test(a_preview_of_the_camera_is_used),
        cmocka_unit_test(what_is_no_picture_gives_none),
        cmocka_unit_test(the_helper_makes_pictures),
        cmocka_unit_test(the_process_that_decodes_can_do_nothing_else),
        cmocka_unit_test(the_cache_is_bounded),
    };
    const struct CMUnitTest without[] = {
        cmocka_unit_test(pictures_are_turned),
        cmocka_unit_test(the_process_that_decodes_can_do_nothing_else),
        cmocka_unit_test(the_cache_is_bounded),
    };

    return ui_picture_is_possible() ? cmocka_run_group_tests(with, NULL, NULL)
                                    : cmocka_run_group_tests(without, NULL, NULL);
}
