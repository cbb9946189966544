#include "discovery/http/meeting_news.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

#include "discovery/http/app.h"
#include "discovery/meet/news.h"
#include "http/wait.h"
#include "p2p/clock.h"
#include "p2p/log.h"

static void
tell(struct app *app, const struct meet_news *news)
{
    uint8_t *bytes = malloc(MEET_NEWS_MAX);
    size_t len = bytes != NULL ? meet_news_format(news, bytes) : 0;

    /* Lost news costs a caller one more try. */
    if (len > 0 && !store_tell(app->store, bytes, len))
        p2p_log_debug("store: no room for news of a box");
    free(bytes);
}

void
meeting_tell_open(struct app *app, const struct box_id *id,
                  const struct box_source *source, bool is_link)
{
    const struct meet_news news = {
        .type = is_link ? MEET_OPEN_LINK : MEET_OPEN, .box = *id, .source = *source};

    if (app->store != NULL && boxes_is_news(app->meeting.boxes, id, p2p_now_ms()))
        tell(app, &news);
}

void
meeting_tell_drop(struct app *app, const struct box_id *id,
                  const struct box_source *source)
{
    const struct meet_news news = {.type = MEET_DROP, .box = *id, .source = *source};

    if (app->store != NULL)
        tell(app, &news);
}

void
meeting_tell_message(struct app *app, const struct box_id *id,
                     const struct box_source *source, uint64_t number, const char *text,
                     size_t len)
{
    const struct meet_news news = {.type = MEET_MESSAGE,
                                   .box = *id,
                                   .source = *source,
                                   .number = number,
                                   .text = text,
                                   .len = len};

    if (app->store != NULL)
        tell(app, &news);
}

void
meeting_tell_trial(struct app *app, const struct trial *trial, enum trial_result result)
{
    const struct meet_news news = {.type = MEET_REACHED,
                                   .peer = trial->peer,
                                   .addr = trial->addr,
                                   .is_reached = result == TRIAL_REACHED};

    if (app->store != NULL)
        tell(app, &news);
}

/* ---- what others tell ---- */

/* It was checked where it was left. But it becomes part of our answers. */
static bool
is_json(const struct meet_news *news)
{
    cJSON *json = cJSON_ParseWithLength(news->text, news->len);
    bool is = json != NULL;

    cJSON_Delete(json);
    return is;
}

static void
take_message(struct app *app, const struct meet_news *news)
{
    uint64_t number = news->number;

    if (is_json(news) &&
        boxes_post(app->meeting.boxes, &news->box, &news->source, news->text, news->len,
                   p2p_now_ms(), &number) == BOX_OK)
        http_waitlist_wake(meeting_list(&app->meeting, &news->box));
}

void
meeting_on_news(void *arg, const uint8_t *bytes, size_t len)
{
    struct app *app = arg;
    struct meet_news news;

    if (meet_news_parse(bytes, len, &news) != P2P_OK) {
        p2p_log_debug("store: ignored news that this version does not know bytes=%zu",
                      len);
        return;
    }
    switch (news.type) {
    case MEET_OPEN:
        (void)boxes_attend(app->meeting.boxes, &news.box, &news.source, p2p_now_ms());
        break;
    case MEET_OPEN_LINK:
        (void)boxes_attend_link(app->meeting.boxes, &news.box, &news.source,
                                p2p_now_ms());
        break;
    case MEET_MESSAGE:
        take_message(app, &news);
        break;
    case MEET_DROP:
        (void)boxes_drop(app->meeting.boxes, &news.box, p2p_now_ms());
        break;
    case MEET_REACHED:
        registry_set_direct(app->registry, &news.peer, news.addr.host, news.addr.port,
                            news.is_reached ? REGISTRY_DIRECT_YES : REGISTRY_DIRECT_NO);
        break;
    }
}
