// uses p2p-peer
/* The control socket in one process: both sides, and p2p-peer's verbs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "core/control/control_internal.h"
#include "p2p/guardian.h"
#include "p2p/io.h"
#include "p2p/log.h"
#include "peer/control.h"
#include "scratch.h"

enum { TIMEOUT_MS = 60000 };

struct world {
    struct scratch scratch;
    struct p2p_control *control;
    int fd;
};

static enum p2p_err
echo(void *arg, const cJSON *request, cJSON *answer, char *why, size_t cap)
{
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(request, "text");

    (void)arg;
    if (!cJSON_IsString(text)) {
        snprintf(why, cap, "missing text");
        return P2P_ERR_USAGE;
    }
    cJSON_AddStringToObject(answer, "text", text->valuestring);
    return P2P_OK;
}

static enum p2p_err
shout(void *arg, const cJSON *request, cJSON *answer, char *why, size_t cap)
{
    char *text = malloc(P2P_CONTROL_ANSWER_MAX + 1);

    (void)arg, (void)request, (void)why, (void)cap;
    memset(text, 'A', P2P_CONTROL_ANSWER_MAX);
    text[P2P_CONTROL_ANSWER_MAX] = '\0';
    cJSON_AddStringToObject(answer, "text", text);
    free(text);
    return P2P_OK;
}

/* Answers with the first byte of each file. */
static enum p2p_err
peek(void *arg, const cJSON *request, const int *files, size_t count, cJSON *answer,
     char *why, size_t cap)
{
    char text[P2P_CONTROL_FILES_MAX + 1] = "";

    (void)arg, (void)request, (void)why, (void)cap;
    for (size_t i = 0; i < count; i++)
        if (pread(files[i], &text[i], 1, 0) != 1)
            return P2P_ERR_SYS;
    cJSON_AddStringToObject(answer, "text", text);
    return P2P_OK;
}

static const struct p2p_control_verb verbs[] = {{"peek", NULL, peek},
                                                {"echo", echo, NULL},
                                                {"shout", shout, NULL},
                                                {NULL, NULL, NULL}};

static int
setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    int listener;

    scratch_make(&w->scratch);
    p2p_log_init("test", P2P_LOG_ERROR);
    assert_int_equal(p2p_control_bind(w->scratch.dir, &listener), P2P_OK);
    assert_int_equal(
        p2p_control_start(listener, w->scratch.dir, verbs, NULL, &w->control), P2P_OK);
    assert_int_equal(p2p_guardian_control(w->scratch.dir, &w->fd), P2P_OK);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;

    p2p_fd_close(&w->fd);
    p2p_control_stop(w->control);
    assert_int_equal(p2p_control_connect(w->scratch.dir, &w->fd), P2P_ERR_NOT_FOUND);
    scratch_remove(&w->scratch);
    free(w);
    return 0;
}

/* Asks with a request in JSON; returns the text of the answer or of the error. */
static enum p2p_err
ask(struct world *w, const char *json, char out[256])
{
    cJSON *request = cJSON_Parse(json), *answer;
    const char *text;
    enum p2p_err err;

    assert_non_null(request);
    err = p2p_control_ask(w->fd, request, TIMEOUT_MS, &answer, out, 256);
    text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "text"));
    assert_true((answer != NULL) == (err == P2P_OK));
    if (text != NULL)
        snprintf(out, 256, "%s", text);
    cJSON_Delete(answer);
    cJSON_Delete(request);
    return err;
}

static void
an_answer_and_the_errors_arrive(void **state)
{
    struct world *w = *state;
    char text[256];

    assert_int_equal(ask(w, "{\"verb\":\"echo\",\"text\":\"h\\u00e9\"}", text), P2P_OK);
    assert_string_equal(text, "h\xc3\xa9");
    assert_int_equal(ask(w, "{\"verb\":\"echo\"}", text), P2P_ERR_USAGE);
    assert_string_equal(text, "missing text");
    assert_int_equal(ask(w, "{\"verb\":\"fly\"}", text), P2P_ERR_UNSUPPORTED);
    assert_int_equal(ask(w, "{}", text), P2P_ERR_UNSUPPORTED);
    assert_int_equal(ask(w, "{\"verb\":\"shout\"}", text), P2P_ERR_TOO_LARGE);
    assert_int_equal(ask(w, "{\"verb\":\"echo\",\"text\":\"still here\"}", text),
                     P2P_OK);
}

static enum p2p_err
ask_with_files(struct world *w, const int *files, size_t count, char out[256])
{
    cJSON *request = cJSON_Parse("{\"verb\":\"peek\"}"), *answer;
    enum p2p_err err = p2p_control_ask_with_files(w->fd, request, files, count,
                                                  TIMEOUT_MS, &answer, NULL, 0);
    const char *text =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "text"));

    snprintf(out, 256, "%s", text != NULL ? text : "");
    cJSON_Delete(answer);
    cJSON_Delete(request);
    return err;
}

/* Descriptors belong to one request, and are closed after it. */
static void
files_come_with_their_request(void **state)
{
    struct world *w = *state;
    int files[P2P_CONTROL_FILES_MAX + 1];
    char text[256];

    for (int i = 0; i <= P2P_CONTROL_FILES_MAX; i++) {
        const char letter = (char)('a' + i);
        files[i] = memfd_create("letter", MFD_CLOEXEC);
        assert_int_equal(write(files[i], &letter, 1), 1);
    }
    assert_int_equal(ask_with_files(w, files, 2, text), P2P_OK);
    assert_string_equal(text, "ab");
    assert_int_equal(ask_with_files(w, NULL, 0, text), P2P_OK);
    assert_string_equal(text, "");
    assert_int_equal(ask_with_files(w, files, P2P_CONTROL_FILES_MAX, text), P2P_OK);
    assert_string_equal(text, "abcd");
    assert_int_equal(ask_with_files(w, files, P2P_CONTROL_FILES_MAX + 1, text),
                     P2P_ERR_TOO_LARGE);
    /* A verb that takes no files ignores those that come with a request. */
    assert_int_equal(ask(w, "{\"verb\":\"echo\",\"text\":\"x\"}", text), P2P_OK);
    for (int i = 0; i <= P2P_CONTROL_FILES_MAX; i++)
        close(files[i]);
}

static void
a_request_that_is_too_large_is_not_sent(void **state)
{
    struct world *w = *state;
    char *text = malloc(P2P_CONTROL_REQUEST_MAX + 1);
    cJSON *request = cJSON_CreateObject(), *answer;

    memset(text, 'A', P2P_CONTROL_REQUEST_MAX);
    text[P2P_CONTROL_REQUEST_MAX] = '\0';
    cJSON_AddStringToObject(request, "verb", text);
    assert_int_equal(p2p_control_ask(w->fd, request, TIMEOUT_MS, &answer, NULL, 0),
                     P2P_ERR_TOO_LARGE);
    assert_null(answer);
    cJSON_Delete(request);
    free(text);
}

static void
only_whole_objects_are_messages(void **state)
{
    static const char *const good[] = {"{}", " {\"a\":[1,2]}", "{\"verb\":\"x\"}"};
    static const char *const wrong[] = {"",    "[]",    "1",        "null",    "{",
                                        "{}}", "{} {}", "{\"a\":}", "\"text\""};
    cJSON *object;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        object = p2p_control_unpack((const uint8_t *)good[i], strlen(good[i]));
        assert_non_null(object);
        cJSON_Delete(object);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_null(p2p_control_unpack((const uint8_t *)wrong[i], strlen(wrong[i])));
    assert_null(p2p_control_unpack((const uint8_t *)"{}", 3)); /* with its NUL */
}

static void
every_prefix_of_a_message_is_refused(void **state)
{
    static const char text[] = "{\"verb\":\"status\",\"more\":[1,{\"a\":null}]}";

    (void)state;
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        uint8_t *exact = malloc(len + 1);
        memcpy(exact, text, len);
        assert_null(p2p_control_unpack(exact, len));
        free(exact);
    }
}

static void
errors_are_found_by_name(void **state)
{
    (void)state;
    for (unsigned i = 1; i < P2P_ERR_COUNT; i++)
        assert_int_equal(p2p_control_error(p2p_err_name((enum p2p_err)i)), i);
    assert_int_equal(p2p_control_error("NOTHING"), P2P_ERR_SYS);
    assert_int_equal(p2p_control_error("OK"), P2P_ERR_SYS);
    assert_int_equal(p2p_control_error(NULL), P2P_ERR_SYS);
}

static void
a_long_path_is_no_obstacle(void **state)
{
    struct world *w = *state;
    char part[121], *path;
    int listener, fd;

    memset(part, 'd', sizeof(part) - 1);
    part[sizeof(part) - 1] = '\0';
    scratch_folder(&w->scratch, part);
    path = strdup(scratch_path(&w->scratch, part));
    assert_int_equal(p2p_control_bind(path, &listener), P2P_OK);
    assert_int_equal(p2p_control_connect(path, &fd), P2P_OK);
    p2p_fd_close(&fd);
    p2p_fd_close(&listener);
    assert_int_equal(p2p_control_connect(path, &fd), P2P_ERR_UNREACHABLE);
    assert_int_equal(fd, -1);
    free(path);
}

static void
a_folder_that_is_not_there_is_an_error(void **state)
{
    struct world *w = *state;
    const char *none = scratch_path(&w->scratch, "none");
    int fd;

    assert_int_equal(p2p_control_bind(none, &fd), P2P_ERR_NOT_FOUND);
    assert_int_equal(fd, -1);
    assert_int_equal(p2p_control_connect(none, &fd), P2P_ERR_NOT_FOUND);
}

/* Without a server: only the verbs that need none of its parts. */
static void
the_peer_knows_its_verbs(void **state)
{
    struct world *w = *state;
    struct control_view view = {.port = 9000};
    struct p2p_control *control;
    char text[256], *folder;
    int listener;

    scratch_folder(&w->scratch, "keys");
    folder = strdup(scratch_path(&w->scratch, "keys"));
    assert_int_equal(p2p_control_bind(folder, &listener), P2P_OK);
    assert_int_equal(control_start(listener, folder, &view, &control), P2P_OK);
    p2p_fd_close(&w->fd);
    assert_int_equal(p2p_control_connect(folder, &w->fd), P2P_OK);
    assert_int_equal(ask(w, "{\"verb\":\"Status\"}", text), P2P_ERR_UNSUPPORTED);
    assert_non_null(strstr(text, P2P_VERSION));
    p2p_control_stop(control);
    free(folder);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(an_answer_and_the_errors_arrive),
        T(files_come_with_their_request),
        T(a_request_that_is_too_large_is_not_sent),
        cmocka_unit_test(only_whole_objects_are_messages),
        cmocka_unit_test(every_prefix_of_a_message_is_refused),
        cmocka_unit_test(errors_are_found_by_name),
        T(a_long_path_is_no_obstacle),
        T(a_folder_that_is_not_there_is_an_error),
        T(the_peer_knows_its_verbs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
