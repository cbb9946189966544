/* Questions to p2p-peer. */
#include <cjson/cJSON.h>

#include "p2p/control.h"
#include "p2p/guardian.h"
#include "p2p/io.h"
#include "ui/offers/offers_internal.h"

enum { ASK_MS = 5000 };

enum p2p_err
ui_offers_ask(struct ui_offers *os, const char *verb, cJSON *request, cJSON **answer)
{
    cJSON *got = NULL;
    int fd = -1;
    enum p2p_err err = p2p_guardian_control(os->parts.keys_dir, &fd);

    cJSON_AddStringToObject(request, "verb", verb);
    if (err == P2P_OK)
        err = p2p_control_ask(fd, request, ASK_MS, &got, NULL, 0);
    p2p_fd_close(&fd);
    cJSON_Delete(request);
    if (answer != NULL)
        *answer = got;
    else
        cJSON_Delete(got);
    return err;
}
