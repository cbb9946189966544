/* JSON for programs: objects and their members. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/print/print.h"
#include "p2p/bytes.h"

/* exit() cleans up everything, and without memory nothing can be printed. */
static void *
must(void *made)
{
    if (made == NULL) {
        fputs("p2p: out of memory\n", stderr);
        exit(1);
    }
    return made;
}

struct cJSON *
cli_object(void)
{
    return must(cJSON_CreateObject());
}

void
cli_put_text(struct cJSON *object, const char *name, const char *text)
{
    must(text != NULL ? cJSON_AddStringToObject(object, name, text)
                      : cJSON_AddNullToObject(object, name));
}

void
cli_put_number(struct cJSON *object, const char *name, uint64_t value)
{
    char digits[P2P_U64_TEXT_MAX];

    p2p_u64_format(value, digits);
    must(cJSON_AddRawToObject(object, name, digits));
}

void
cli_put_bool(struct cJSON *object, const char *name, bool value)
{
    must(cJSON_AddBoolToObject(object, name, value));
}

void
cli_put_hex(struct cJSON *object, const char *name, const uint8_t digest[32],
            bool is_known)
{
    char hex[65];

    p2p_hex_format(digest, 32, hex);
    cli_put_text(object, name, is_known ? hex : NULL);
}

void
cli_put_path(cJSON *object, enum p2p_path_kind kind, uint64_t rtt_us)
{
    cJSON *path = cli_object();

    cli_put_text(path, "kind", p2p_path_kind_name(kind));
    if (kind == P2P_PATH_CHANNEL)
        cli_put_number(path, "rtt_ms", rtt_us / 1000);
    cJSON_AddItemToObject(object, "path", path);
}

struct cJSON *
cli_put_array(struct cJSON *object, const char *name)
{
    return must(cJSON_AddArrayToObject(object, name));
}

struct cJSON *
cli_add_object(struct cJSON *array)
{
    cJSON *object = cli_object();

    cJSON_AddItemToArray(array, object);
    return object;
}

char *
cli_json_text(const struct cJSON *object)
{
    return must(cJSON_PrintUnformatted(object));
}

/* ---- reading ---- */

const char *
cli_text_in(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

uint64_t
cli_number_in(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble < 9e15
               ? (uint64_t)item->valuedouble
               : 0;
}
