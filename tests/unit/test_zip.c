/* The layout of archives: places, ZIP64, and that any part can be made by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/text/zip.h"

#define GIB ((uint64_t)1024 * 1024 * 1024)

static uint64_t
little(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;

    while (bytes-- > 0)
        value = value << 8 | at[bytes];
    return value;
}

static struct zip
archive_of(const uint64_t *sizes, size_t count)
{
    struct zip z = {0};
    char name[32];

    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "folder/file %zu", i);
        assert_int_equal(zip_add(&z, name, sizes[i], 1700000000), P2P_OK);
    }
    zip_finish(&z);
    for (size_t i = 0; i < count; i++)
        z.entries[i].crc = 0x11111111u * (uint32_t)(i + 1);
    return z;
}

/* All bytes from `at` on; those of files are 'f'. */
static uint8_t *
make_all(const struct zip *z, uint64_t at, size_t step)
{
    uint64_t size = z->size - at, have = 0;
    uint8_t *out = malloc(size + 1);
    struct zip_piece piece;

    while (have < size) {
        size_t n = zip_make(z, at + have, out + have,
                            size - have < step ? (size_t)(size - have) : step);
        if (n == 0) {
            zip_piece_at(z, at + have, &piece);
            assert_true(piece.is_file);
            n = (size_t)piece.len;
            memset(out + have, 'f', n);
        }
        have += n;
    }
    return out;
}

static void
every_part_is_where_the_list_says(void **state)
{
    static const uint64_t sizes[] = {3, 0, 70000};
    struct zip z = archive_of(sizes, 3);
    uint8_t *all = make_all(&z, 0, 1 << 20), *end = all + z.size - 22, *line;

    (void)state;
    assert_int_equal(little(end, 4), 0x06054b50);
    assert_int_equal(little(end + 10, 2), 3);
    line = all + little(end + 16, 4);
    for (unsigned i = 0; i < 3; i++) {
        const uint8_t *header = all + little(line + 42, 4), *data;
        assert_int_equal(little(line, 4), 0x02014b50);
        assert_int_equal(little(header, 4), 0x04034b50);
        assert_int_equal(little(line + 24, 4), sizes[i]);
        assert_memory_equal(header + 30, line + 46, little(line + 28, 2));
        data = header + 30 + little(header + 26, 2) + little(header + 28, 2);
        for (uint64_t k = 0; k < sizes[i]; k++)
            assert_int_equal(data[k], 'f');
        assert_int_equal(little(data + sizes[i], 4), 0x08074b50);
        assert_int_equal(little(data + sizes[i] + 4, 4), 0x11111111u * (i + 1));
        assert_int_equal(little(line + 16, 4), 0x11111111u * (i + 1));
        line += 46 + little(line + 28, 2) + little(line + 30, 2) + little(line + 32, 2);
    }
    assert_ptr_equal(line, end);
    free(all);
    zip_clear(&z);
}

static void
any_part_can_be_made_by_itself(void **state)
{
    static const uint64_t sizes[] = {3, 0, 700, 1};
    struct zip z = archive_of(sizes, 4);
    uint8_t *all = make_all(&z, 0, 1 << 20);

    (void)state;
    for (uint64_t at = 0; at < z.size; at += 7) {
        uint8_t *rest = make_all(&z, at, 1 + at % 50);
        assert_memory_equal(rest, all + at, z.size - at);
        free(rest);
    }
    free(all);
    zip_clear(&z);
}

static void
checksums_are_needed_for_files_that_were_begun(void **state)
{
    static const uint64_t sizes[] = {10, 0, 10};
    struct zip z = archive_of(sizes, 3);

    (void)state;
    assert_int_equal(zip_begun_before(&z, 0), 0);
    assert_int_equal(zip_begun_before(&z, zip_file_at(&z, 0)), 0);
    assert_int_equal(zip_begun_before(&z, zip_file_at(&z, 0) + 1), 1);
    assert_int_equal(zip_begun_before(&z, z.entries[1].at), 1);
    assert_int_equal(zip_begun_before(&z, zip_file_at(&z, 2)), 2);
    assert_int_equal(zip_begun_before(&z, z.size), 3);
    zip_clear(&z);
}

static void
large_numbers_move_to_zip64(void **state)
{
    /* The last one begins beyond 4 GiB, the first one is larger. */
    static const uint64_t sizes[] = {5 * GIB, 1, UINT32_MAX};
    struct zip z = archive_of(sizes, 3);
    uint8_t out[4096];
    size_t n;

    (void)state;
    n = zip_make(&z, 0, out, sizeof(out));
    assert_int_equal(n, zip_file_at(&z, 0));
    assert_int_equal(little(out + 4, 2), 45);
    assert_int_equal(little(out + 18, 4), UINT32_MAX);
    assert_int_equal(little(out + n - 16, 8), 5 * GIB);
    n = zip_make(&z, zip_file_at(&z, 0) + 5 * GIB, out, 24);
    assert_int_equal(n, 24);
    assert_int_equal(little(out + 8, 8), 5 * GIB);
    n = zip_make(&z, z.entries[1].listed_at, out, sizeof(out));
    assert_int_equal(little(out + 42, 4), UINT32_MAX); /* its place is in the field */
    assert_int_equal(little(out + 24, 4), 1);          /* its size is not */
    assert_int_equal(n, z.size - z.entries[1].listed_at);
    assert_int_equal(little(out + n - 22 - 20 - 56, 4), 0x06064b50);
    assert_int_equal(little(out + n - 22 - 20 - 56 + 48, 8), z.list_at);
    assert_int_equal(little(out + n - 22 - 20 + 8, 8), z.end_at);
    assert_int_equal(little(out + n - 22 + 16, 4), UINT32_MAX);
    zip_clear(&z);
}

static void
many_files_need_zip64_too(void **state)
{
    struct zip z = {0};
    uint8_t out[128];

    (void)state;
    for (unsigned i = 0; i < 65535; i++)
        assert_int_equal(zip_add(&z, "a", 0, 0), P2P_OK);
    zip_finish(&z);
    assert_int_equal(zip_make(&z, z.end_at, out, sizeof(out)), 22 + 20 + 56);
    assert_int_equal(little(out + 32, 8), 65535);
    zip_clear(&z);
}

static void
an_archive_of_nothing_and_names_that_are_too_long(void **state)
{
    char name[ZIP_NAME_MAX + 2];
    struct zip z = {0};
    uint8_t out[64];

    (void)state;
    memset(name, 'n', sizeof(name));
    name[ZIP_NAME_MAX + 1] = '\0';
    assert_int_equal(zip_add(&z, name, 1, 0), P2P_ERR_RANGE);
    zip_finish(&z);
    assert_int_equal(z.size, 22);
    assert_int_equal(zip_make(&z, 0, out, sizeof(out)), 22);
    assert_int_equal(zip_begun_before(&z, 22), 0);
    name[ZIP_NAME_MAX] = '\0';
    assert_int_equal(zip_add(&z, name, 1, INT64_MAX), P2P_OK);
    zip_finish(&z);
    assert_int_equal(zip_make(&z, 0, out, sizeof(out)), sizeof(out));
    zip_clear(&z);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_is_where_the_list_says),
        cmocka_unit_test(any_part_can_be_made_by_itself),
        cmocka_unit_test(checksums_are_needed_for_files_that_were_begun),
        cmocka_unit_test(large_numbers_move_to_zip64),
        cmocka_unit_test(many_files_need_zip64_too),
        cmocka_unit_test(an_archive_of_nothing_and_names_that_are_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
