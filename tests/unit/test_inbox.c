// uses p2p-peer
/* The inbox of p2p-peer: what it takes, its limits, and what it keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "p2p/clock.h"
#include "peer/control.h"
#include "peer/control_inbox.h"
#include "peer/inbox/inbox.h"
#include "scratch.h"

static const struct inbox_sender friend = {{{1}}, "Friend", true};
static const struct inbox_sender stranger = {{{2}}, "", false};

static uint8_t bytes[P2P_OFFER_RECORD_ITEMS];

/* One record with `count` files, of `size` bytes each. */
static struct p2p_msg_offer
record(uint8_t id, unsigned count, uint64_t size, const char *name, const char *text)
{
    struct p2p_msg_offer offer = {.id = {id},
                                  .expires_s = p2p_time_s() + 3600,
                                  .count = (uint16_t)count,
                                  .text = {text, strlen(text)}};
    const struct p2p_offer_item item = {.size = size, .name = {name, strlen(name)}};
    struct p2p_wr wr;
    size_t len;

    p2p_wr_init(&wr, bytes, sizeof(bytes));
    for (unsigned i = 0; i < count; i++)
        assert_true(p2p_msg_put_offer_item(&wr, &item));
    assert_int_equal(p2p_wr_end(&wr, &len), P2P_OK);
    p2p_rd_init(&offer.items, bytes, len);
    return offer;
}

static enum p2p_offer_state
take(struct inbox *box, const struct inbox_sender *from, struct p2p_msg_offer offer)
{
    enum p2p_offer_state state;

    assert_int_equal(inbox_take(box, from, &offer, &state), P2P_OK);
    return state;
}

static size_t
count_of(struct inbox *box)
{
    struct inbox_row *rows;
    size_t count;

    assert_int_equal(inbox_list(box, &rows, &count), P2P_OK);
    free(rows);
    return count;
}

static struct inbox *
open_box(const char *keys_dir, enum inbox_from from)
{
    struct inbox *box;

    assert_int_equal(inbox_open(keys_dir, from, &box), P2P_OK);
    return box;
}

static void
an_offer_waits_until_it_is_answered(void **state)
{
    struct inbox *box = open_box(NULL, INBOX_FROM_ALL);
    struct p2p_msg_offer offer = record(7, 2, 10, "a/b.jpg", "look");
    uint64_t before = inbox_changes(box);

    (void)state;
    assert_int_equal(take(box, &friend, offer), P2P_OFFER_SHOWN);
    assert_int_equal(take(box, &friend, offer), P2P_OFFER_SHOWN);
    assert_int_equal(count_of(box), 1);
    assert_true(inbox_changes(box) > before);
    assert_int_equal(inbox_claim(box, offer.id), P2P_ERR_USAGE);
    assert_int_equal(inbox_answer(box, offer.id, P2P_OFFER_ACCEPTED), P2P_OK);
    assert_int_equal(inbox_answer(box, offer.id, P2P_OFFER_DECLINED), P2P_ERR_USAGE);
    assert_int_equal(take(box, &friend, offer), P2P_OFFER_ACCEPTED);
    assert_int_equal(inbox_claim(box, offer.id), P2P_OK);
    assert_int_equal(inbox_claim(box, offer.id), P2P_ERR_EXISTS);
    offer.id[0] = 8;
    assert_int_equal(inbox_answer(box, offer.id, P2P_OFFER_DECLINED),
                     P2P_ERR_NOT_FOUND);
    assert_int_equal(inbox_claim(box, offer.id), P2P_ERR_NOT_FOUND);
    /* Another sender with the same number has an offer of its own. */
    assert_int_equal(take(box, &stranger, offer), P2P_OFFER_SHOWN);
    inbox_close(box);
}

static void
what_cannot_be_is_refused(void **state)
{
    struct inbox *box = open_box(NULL, INBOX_FROM_ALL);
    const struct {
        const char *name, *text;
        uint64_t size;
    } wrong[] = {
        {"../up", "", 1},      {"", "", 1},      {"large", "", UINT64_MAX},
        {"a", "a\033[2Jb", 1}, {"a", "\xff", 1},
    };
    enum p2p_offer_state answer;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct p2p_msg_offer offer =
            record(1, 1, wrong[i].size, wrong[i].name, wrong[i].text);
        assert_int_equal(inbox_take(box, &friend, &offer, &answer), P2P_ERR_MALFORMED);
    }
    /* Nothing at all is offered. */
    assert_int_equal(take(box, &friend, record(1, 0, 0, "", "")), P2P_OFFER_REFUSED);
    assert_int_equal(count_of(box), 0);
    inbox_close(box);
}

static void
each_sender_has_a_share(void **state)
{
    struct inbox *box = open_box(NULL, INBOX_FROM_ALL);
    struct inbox_sender other = stranger;
    unsigned taken = 0;

    (void)state;
    for (uint8_t i = 0; i < INBOX_PER_SENDER_MAX + 5; i++)
        taken += take(box, &friend, record(i, 1, 1, "a", "")) == P2P_OFFER_SHOWN;
    assert_int_equal(taken, INBOX_PER_SENDER_MAX);
    /* All strangers together have one as well, however many ids they have. */
    taken = 0;
    for (uint8_t i = 0; i < 2 * INBOX_STRANGERS_MAX; i++) {
        other.id.b[1] = i;
        taken += take(box, &other, record(i, 1, 1, "a", "")) == P2P_OFFER_SHOWN;
    }
    assert_int_equal(taken, INBOX_STRANGERS_MAX);
    /* A known device is served all the same. */
    other.is_known = true;
    other.id.b[1] = 99;
    assert_int_equal(take(box, &other, record(1, 1, 1, "a", "")), P2P_OFFER_SHOWN);
    inbox_close(box);
}

static void
strangers_have_a_rate(void **state)
{
    struct inbox *box = open_box(NULL, INBOX_FROM_ALL);
    unsigned taken = 0;

    (void)state;
    for (uint8_t i = 0; i < 2 * INBOX_STRANGER_RATE; i++) {
        struct p2p_msg_offer offer = record(i, 1, 1, "a", "");
        if (take(box, &stranger, offer) != P2P_OFFER_SHOWN)
            continue;
        taken++;
        assert_int_equal(inbox_answer(box, offer.id, P2P_OFFER_DECLINED), P2P_OK);
    }
    assert_int_equal(taken, INBOX_STRANGER_RATE);
    inbox_close(box);
}

static void
an_offer_of_many_records_has_a_limit(void **state)
{
    struct inbox *box = open_box(NULL, INBOX_FROM_ALL);
    struct p2p_msg_offer part = record(1, 400, 1, "a name of some length.jpg", "");
    char text[P2P_NAME_MAX + 1];
    enum p2p_offer_state answer = P2P_OFFER_SHOWN;
    unsigned n = 0;

    (void)state;
    part.flags = P2P_OFFER_MORE;
    assert_int_equal(take(box, &friend, part), P2P_OFFER_SHOWN);
    assert_int_equal(count_of(box), 0); /* it is not complete */
    part.flags = 0;
    assert_int_equal(take(box, &friend, part), P2P_OFFER_SHOWN);
    assert_int_equal(count_of(box), 1);
    /* Without an end it ends. */
    memset(text, 'n', sizeof(text));
    text[200] = text[401] = text[602] = text[803] = '/';
    text[P2P_NAME_MAX] = '\0';
    part = record(2, 50, 1, text, "");
    part.flags = P2P_OFFER_MORE;
    for (; n < 1000 && answer == P2P_OFFER_SHOWN; n++)
        answer = take(box, &stranger, part);
    assert_int_equal(answer, P2P_OFFER_REFUSED);
    assert_true(n <= INBOX_STRANGER_BYTES / part.items.left + 2);
    assert_int_equal(count_of(box), 1);
    inbox_close(box);
}

static void
who_may_offer(void **state)
{
    struct inbox *known = open_box(NULL, INBOX_FROM_KNOWN),
                 *none = open_box(NULL, INBOX_FROM_NONE);
    struct p2p_msg_offer offer = record(1, 0, 0, "", "hello");

    (void)state;
    assert_int_equal(take(known, &stranger, offer), P2P_OFFER_REFUSED);
    assert_int_equal(take(known, &friend, offer), P2P_OFFER_SHOWN);
    assert_int_equal(take(none, &friend, offer), P2P_OFFER_REFUSED);
    inbox_close(known);
    inbox_close(none);
}

static void
everything_is_kept_over_a_restart(void **state)
{
    struct scratch place;
    scratch_make(&place);
    const char *dir = place.dir;
    struct inbox *box = open_box(dir, INBOX_FROM_ALL);
    struct p2p_msg_offer offer = record(3, 2, 10, "a.jpg", "two\nlines");
    struct inbox_row *rows;
    size_t count;
    char *text;

    (void)state;
    assert_int_equal(inbox_set_always(box, &friend.id, true), P2P_OK);
    assert_int_equal(take(box, &stranger, record(9, 1, 1, "x", "")), P2P_OFFER_SHOWN);
    offer = record(3, 2, 10, "a.jpg", "two\nlines");
    assert_int_equal(take(box, &friend, offer), P2P_OFFER_ACCEPTED);
    assert_int_equal(inbox_claim(box, offer.id), P2P_OK);
    inbox_close(box);

    box = open_box(dir, INBOX_FROM_ALL);
    assert_int_equal(inbox_list(box, &rows, &count), P2P_OK);
    assert_int_equal(count, 2);
    const struct inbox_row *own = rows[0].id[0] == 3 ? &rows[0] : &rows[1];
    assert_string_equal(own->name, "Friend");
    assert_int_equal(own->state, P2P_OFFER_ACCEPTED);
    assert_true(own->is_taken && own->count == 2 && own->size == 20);
    free(rows);
    assert_true(inbox_is_always(box, &friend.id));
    assert_false(inbox_is_always(box, &stranger.id));
    assert_int_equal(inbox_items(box, offer.id, 0, 0, NULL, NULL, &text), P2P_OK);
    assert_string_equal(text, "two\nlines");
    free(text);
    assert_int_equal(inbox_set_always(box, &friend.id, false), P2P_OK);
    inbox_close(box);
    box = open_box(dir, INBOX_FROM_ALL);
    assert_false(inbox_is_always(box, &friend.id));
    inbox_close(box);

    /* A damaged file costs what waited, not the start. */
    char path[512];
    snprintf(path, sizeof(path), "%s/" INBOX_FILE, dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("this is no database, but long enough to look like one ...", file);
    assert_int_equal(fclose(file), 0);
    box = open_box(dir, INBOX_FROM_ALL);
    assert_int_equal(count_of(box), 0);
    assert_int_equal(take(box, &friend, record(1, 0, 0, "", "hello")), P2P_OFFER_SHOWN);
    inbox_close(box);
    scratch_remove(&place);
}

static enum p2p_err
ask(p2p_control_fn *verb, struct control_view *view, const char *json, cJSON **answer)
{
    cJSON *request = cJSON_Parse(json);
    char why[64] = "";
    enum p2p_err err;

    assert_non_null(request);
    *answer = cJSON_CreateObject();
    err = verb(view, request, *answer, why, sizeof(why));
    cJSON_Delete(request);
    return err;
}

static void
programs_of_the_owner_ask(void **state)
{
    struct inbox *box = open_box(NULL, INBOX_FROM_ALL);
    struct control_view view = {.inbox = box};
    const char *id = "04000000000000000000000000000000";
    char json[256];
    cJSON *answer;

    (void)state;
    assert_int_equal(take(box, &friend, record(4, 3, 5, "a", "hi")), P2P_OFFER_SHOWN);
    assert_int_equal(ask(control_inbox_list, &view, "{}", &answer), P2P_OK);
    assert_string_equal(
        cJSON_GetObjectItem(
            cJSON_GetArrayItem(cJSON_GetObjectItem(answer, "offers"), 0), "id")
            ->valuestring,
        id);
    int changes = cJSON_GetObjectItem(answer, "changes")->valueint;
    cJSON_Delete(answer);
    snprintf(json, sizeof(json), "{\"changes\":%d}", changes);
    assert_int_equal(ask(control_inbox_list, &view, json, &answer), P2P_OK);
    assert_null(cJSON_GetObjectItem(answer, "offers"));
    cJSON_Delete(answer);
    snprintf(json, sizeof(json), "{\"id\":\"%s\",\"first\":1}", id);
    assert_int_equal(ask(control_inbox_items, &view, json, &answer), P2P_OK);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(answer, "items")), 2);
    assert_string_equal(cJSON_GetObjectItem(answer, "text")->valuestring, "hi");
    cJSON_Delete(answer);
    snprintf(json, sizeof(json), "{\"id\":\"%s\",\"answer\":\"perhaps\"}", id);
    assert_int_equal(ask(control_inbox_answer, &view, json, &answer),
                     P2P_ERR_MALFORMED);
    cJSON_Delete(answer);
    snprintf(json, sizeof(json), "{\"id\":\"%s\",\"answer\":\"accept\",\"claim\":true}",
             id);
    assert_int_equal(ask(control_inbox_answer, &view, json, &answer), P2P_OK);
    cJSON_Delete(answer);
    snprintf(json, sizeof(json), "{\"id\":\"%s\"}", id);
    assert_int_equal(ask(control_inbox_claim, &view, json, &answer), P2P_ERR_EXISTS);
    cJSON_Delete(answer);
    assert_int_equal(ask(control_inbox_always, &view, "{\"peer\":\"1\"}", &answer),
                     P2P_ERR_MALFORMED);
    cJSON_Delete(answer);
    inbox_close(box);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_offer_waits_until_it_is_answered),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(each_sender_has_a_share),
        cmocka_unit_test(strangers_have_a_rate),
        cmocka_unit_test(an_offer_of_many_records_has_a_limit),
        cmocka_unit_test(who_may_offer),
        cmocka_unit_test(everything_is_kept_over_a_restart),
        cmocka_unit_test(programs_of_the_owner_ask),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
