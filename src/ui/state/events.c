#include "ui/state/events.h"

#include <stdlib.h>

#include "http/sse.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "ui/reply/json.h"

void
ui_event_publish(const struct ui_events *events, const char *name,
                 struct http_json_out *o)
{
    size_t len;
    char *text = http_json_take(o, &len);

    if (text != NULL && events->sse != NULL)
        http_sse_publish(events->sse, name, text, len);
    free(text);
}

void
ui_event_count(const struct ui_events *events, const char *name, size_t count)
{
    struct http_json_out o;

    ui_json_begin(&o, 32);
    http_json_put_u64(&o, "count", count);
    http_json_end(&o, '}');
    ui_event_publish(events, name, &o);
}

static void
on_log(void *arg, enum p2p_log_level level, const char *text)
{
    static const char *const names[] = {"error", "warn", "info"};
    struct http_json_out o;

    if (level > P2P_LOG_INFO)
        return;
    ui_json_begin(&o, 256);
    http_json_put_u64(&o, "time", p2p_time_s());
    http_json_put_string(&o, "level", names[level]);
    http_json_put_string(&o, "message", text);
    http_json_end(&o, '}');
    ui_event_publish(arg, "log", &o);
}

void
ui_events_open_log(struct ui_events *events)
{
    p2p_log_set_sink(on_log, events);
}

void
ui_events_close_log(void)
{
    p2p_log_set_sink(NULL, NULL);
}
