/* JSON from outside: accepted values are within the limits, and are accepted again
 * after writing. */
#include <string.h>

#include <cjson/cJSON.h>

#include "fuzz.h"
#include "http/text/json.h"

static unsigned
depth_of(const cJSON *v)
{
    unsigned deepest = 0;

    for (const cJSON *c = v->child; c != NULL; c = c->next) {
        unsigned d = depth_of(c);

        deepest = d > deepest ? d : deepest;
    }
    return deepest + (cJSON_IsArray(v) || cJSON_IsObject(v));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *why;
    cJSON *json = http_json_parse((const char *)data, size, &why), *again;
    char *text;

    MUST(json != NULL || why != NULL);
    if (json == NULL)
        return 0;
    MUST(depth_of(json) <= HTTP_JSON_MAX_DEPTH);
    text = cJSON_PrintUnformatted(json);
    MUST(text != NULL);
    again = http_json_parse(text, strlen(text), &why);
    /* 1e999 is read as infinity and written as null, which is still a value. */
    MUST(again != NULL);
    cJSON_Delete(again);
    cJSON_free(text);
    cJSON_Delete(json);
    return 0;
}
