/* The events of docs/openapi.yaml, "/api/events", on top of http/sse.h. */
#ifndef P2P_UI_EVENTS_H
#define P2P_UI_EVENTS_H

#include "http/text/json.h"

#define UI_EVENTS_KEPT    1024
#define UI_EVENTS_CLIENTS 64

struct http_sse;

struct ui_events {
    struct http_sse *sse; /* NULL until the server is open: nothing is sent then */
};

/* Sends the written event to all clients; takes ownership of it. Thread-safe, does not
 * block. */
void ui_event_publish(const struct ui_events *events, const char *name,
                      struct http_json_out *o);

/* {"count": count}: the lists "peers" and "devices". */
void ui_event_count(const struct ui_events *events, const char *name, size_t count);

/* Sends each log line as a `log` event from now on, until ui_events_close. */
void ui_events_open_log(struct ui_events *events);
void ui_events_close_log(void);

#endif
