#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "p2p/err.h"

static void
every_error_is_complete(void **state)
{
    (void)state;
    for (int i = 0; i < P2P_ERR_COUNT; i++) {
        enum p2p_err err = (enum p2p_err)i;
        int status = p2p_err_http_status(err);

        assert_true(strlen(p2p_err_name(err)) > 0);
        assert_true(strlen(p2p_err_text(err)) > 0);
        assert_true(err == P2P_OK ? status == 200 : status >= 400 && status < 600);
        assert_true(p2p_err_wire_code(err) <= 8);
        assert_true((p2p_err_wire_code(err) == 0) == (err == P2P_OK));
        assert_true((p2p_err_exit_status(err) == 0) == (err == P2P_OK));
        for (int j = 0; j < i; j++)
            assert_string_not_equal(p2p_err_name(err), p2p_err_name((enum p2p_err)j));
    }
}

static void
unknown_values_are_survived(void **state)
{
    enum p2p_err strange = (enum p2p_err)9999;

    (void)state;
    assert_string_equal(p2p_err_name(strange), "UNKNOWN");
    assert_non_null(p2p_err_text(strange));
    assert_int_equal(p2p_err_class(strange), P2P_CLASS_LOCAL);
    assert_int_equal(p2p_err_from_wire_code(0xffff), P2P_ERR_REMOTE);
    assert_int_equal(p2p_err_from_wire_code(0), P2P_ERR_REMOTE);
    assert_int_equal(p2p_err_from_errno(99999), P2P_ERR_SYS);
}

static void
meanings_others_rely_on(void **state)
{
    (void)state;
    assert_int_equal(p2p_err_from_errno(0), P2P_OK);
    assert_int_equal(p2p_err_from_errno(ENOSPC), P2P_ERR_DISK_FULL);
    assert_int_equal(p2p_err_from_errno(EACCES), P2P_ERR_PERMISSION);
    assert_int_equal(p2p_err_from_errno(EDQUOT), P2P_ERR_QUOTA);
    assert_int_equal(p2p_err_from_errno(EFBIG), P2P_ERR_FILE_TOO_BIG);
    assert_int_equal(p2p_err_from_errno(EROFS), P2P_ERR_READ_ONLY);
    assert_true(p2p_err_is_space(P2P_ERR_DISK_FULL) &&
                p2p_err_is_space(P2P_ERR_QUOTA) && p2p_err_is_space(P2P_ERR_NO_INODES));
    assert_false(p2p_err_is_space(P2P_ERR_FILE_TOO_BIG));
    assert_false(p2p_err_is_space(P2P_ERR_READ_ONLY));
    assert_int_equal(p2p_err_exit_status(P2P_ERR_TARGET_NAME), 6);
    assert_int_equal(p2p_err_http_status(P2P_ERR_NOT_FOUND), 404);
    assert_int_equal(p2p_err_http_status(P2P_ERR_EXISTS), 409);
    assert_int_equal(p2p_err_http_status(P2P_ERR_RATE_LIMITED), 429);
    assert_int_equal(p2p_err_wire_code(P2P_ERR_FILE_CHANGED), 6);
    assert_int_equal(p2p_err_wire_code(P2P_ERR_RATE_LIMITED), 8);
    assert_int_equal(p2p_err_wire_code(P2P_ERR_MALFORMED), 2);
    assert_int_equal(p2p_err_exit_status(P2P_ERR_USAGE), 2);
    assert_int_equal(p2p_err_exit_status(P2P_ERR_KEY_CHANGED), 7);
    assert_int_equal(p2p_err_exit_status(P2P_ERR_AMBIGUOUS), 9);
    assert_int_equal(p2p_err_http_status(P2P_ERR_AMBIGUOUS), 409);
    /* The code of each of these errors means the same error to the receiver. */
    static const enum p2p_err same[] = {P2P_ERR_NOT_FOUND,    P2P_ERR_RANGE,
                                        P2P_ERR_NOT_ALLOWED,  P2P_ERR_BUSY,
                                        P2P_ERR_FILE_CHANGED, P2P_ERR_RATE_LIMITED};
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        assert_int_equal(p2p_err_from_wire_code(p2p_err_wire_code(same[i])), same[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_is_complete),
        cmocka_unit_test(unknown_values_are_survived),
        cmocka_unit_test(meanings_others_rely_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
