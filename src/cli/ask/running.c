#include "cli/ask/running.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "cli/print/print.h"
#include "p2p/about.h"
#include "p2p/bytes.h"
#include "p2p/control.h"
#include "p2p/io.h"
#include "p2p/log.h"
#include "p2p/names.h"

enum { TIMEOUT_MS = 5000, NAME_SHOWN = 200 };

cJSON *
cli_ask_running(const char *keys_dir, const char *verb, enum p2p_err *err)
{
    cJSON *request = cli_object(), *answer = NULL;
    int fd = -1;

    cli_put_text(request, "verb", verb);
    *err = p2p_control_connect(keys_dir, &fd);
    if (*err == P2P_OK)
        *err = p2p_control_ask(fd, request, TIMEOUT_MS, &answer, NULL, 0);
    p2p_fd_close(&fd);
    cJSON_Delete(request);
    return answer;
}

static uint64_t
number(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsNumber(item) && item->valuedouble > 0 ? (uint64_t)item->valuedouble
                                                         : 0;
}

static const char *
text(const cJSON *object, const char *name)
{
    const char *value =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));

    return value != NULL ? value : "";
}

static bool
is_running(const cJSON *upload)
{
    return !cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(upload, "ended"));
}

static const char *
called(const cJSON *object, struct p2p_identity *identity, char out[P2P_CALLED_MAX])
{
    const char *claim = text(object, "claimed_name");
    struct p2p_about said = {.kind = P2P_ABOUT_UNKNOWN};
    struct p2p_id id;

    if (p2p_hex_parse(text(object, "peer_id"), id.b, sizeof(id.b)) != P2P_OK)
        return "?";
    (void)p2p_about_set_name(&said, claim,
                             strlen(claim)); /* of an older p2p-peer: "" */
    return p2p_peer_called(identity, &id, &said, out);
}

static void
print_upload(const cJSON *upload, struct p2p_identity *identity)
{
    char who[P2P_CALLED_MAX], sent[CLI_SHORT], size[CLI_SHORT], speed[CLI_SHORT];
    char name[NAME_SHOWN];
    const char *file = text(upload, "name");

    printf("  to %s  %s  %s of %s, %s/s\n", called(upload, identity, who),
           p2p_log_escape(file, strlen(file), name, sizeof(name)),
           cli_size(number(upload, "sent"), sent),
           cli_size(number(upload, "size"), size),
           cli_size(number(upload, "speed"), speed));
}

void
cli_print_uploads(const cJSON *answer, struct p2p_identity *identity)
{
    const cJSON *sum = cJSON_GetObjectItemCaseSensitive(answer, "uploaded");
    const cJSON *upload;
    char bytes[CLI_SHORT], speed[CLI_SHORT], since[CLI_SHORT];
    uint64_t running = number(sum, "running"), uploads = number(sum, "uploads");

    printf("uploads       %llu running, %s/s\n", (unsigned long long)running,
           cli_size(number(sum, "speed"), speed));
    cJSON_ArrayForEach(upload, cJSON_GetObjectItemCaseSensitive(answer, "uploads"))
    {
        if (is_running(upload))
            print_upload(upload, identity);
    }
    printf("uploaded      %s in %llu upload%s since %s\n",
           cli_size(number(sum, "bytes"), bytes), (unsigned long long)uploads,
           uploads == 1 ? "" : "s", cli_time(number(sum, "since"), since));
}

/* A copy of a member; null if there is none. */
static void
put_copy(cJSON *object, const char *name, const cJSON *answer)
{
    cJSON *copy = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(answer, name), true);

    cJSON_AddItemToObject(object, name, copy != NULL ? copy : cJSON_CreateNull());
}

static void
put_called(cJSON *array, struct p2p_identity *identity)
{
    char who[P2P_CALLED_MAX];
    cJSON *item;

    cJSON_ArrayForEach(item, array)
    {
        cli_put_text(item, "peer", called(item, identity, who));
    }
}

void
cli_put_running(cJSON *object, const cJSON *status, const cJSON *uploads,
                struct p2p_identity *identity)
{
    cJSON *peer = cJSON_CreateNull();

    if (status != NULL) {
        cJSON_Delete(peer);
        peer = cJSON_Duplicate(status, true);
        cJSON_DeleteItemFromObject(peer, "ok");
        cJSON_DeleteItemFromObject(peer, "uploaded");
    }
    cJSON_AddItemToObject(object, "peer", peer);
    put_copy(object, "uploads", uploads);
    put_copy(object, "uploaded", uploads);
    put_called(cJSON_GetObjectItemCaseSensitive(object, "uploads"), identity);
}

const char *
cli_running_copy(const cJSON *status)
{
    const char *at = text(status, "copy_at");

    return at[0] != '\0' ? at : NULL;
}

const cJSON *
cli_running_public(const cJSON *status)
{
    const cJSON *is_public = cJSON_GetObjectItemCaseSensitive(status, "public");

    return cJSON_IsBool(is_public) ? is_public : NULL;
}
