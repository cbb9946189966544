/* Finds out how large a request may be: a proxy in front of a registry often accepts
 * less than the registry. */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "core/registry/discovery_internal.h"
#include "p2p/clock.h"

enum { STEP_BYTES = 64 * 1024 };

/* The server asked for the body, so this size is accepted; nothing more is needed. */
static size_t
refuse_to_send(char *buf, size_t size, size_t count, void *arg)
{
    (void)buf, (void)size, (void)count;
    *(bool *)arg = true;
    return CURL_READFUNC_ABORT;
}

static size_t
ignore(char *data, size_t size, size_t count, void *arg)
{
    (void)data, (void)arg;
    return size * count;
}

/* Announces a body of this size with "Expect: 100-continue" and sends none of it. False
 * only if the answer is 413. */
static bool
takes(const char *url, size_t bytes, uint64_t timeout_ms)
{
    CURL *e = curl_easy_init();
    struct curl_slist *headers =
        curl_slist_append(NULL, "Content-Type: application/json");
    struct curl_slist *more =
        headers != NULL ? curl_slist_append(headers, "Expect: 100-continue") : NULL;
    long status = 0;
    bool is_asked = false;

    if (e != NULL && more != NULL &&
        curl_easy_setopt(e, CURLOPT_URL, url) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_PROXY, "") == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)timeout_ms) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_EXPECT_100_TIMEOUT_MS, (long)timeout_ms) ==
            CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_POST, 1L) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)bytes) ==
            CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_HTTPHEADER, more) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_READFUNCTION, refuse_to_send) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_READDATA, &is_asked) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, ignore) == CURLE_OK) {
        (void)curl_easy_perform(e);
        if (!is_asked)
            curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &status);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(e);
    return status != 413;
}

size_t
p2p_discovery_body_limit(struct p2p_discovery *d, size_t i)
{
    size_t low = 0, high = P2P_REGISTER_BODY_MAX / 2;
    char *url = i < d->count ? p2p_http_url(d->at[i].url, "/register", NULL, 0) : NULL;
    uint64_t until = p2p_now_ms() + d->timeout_ms;

    if (url == NULL || takes(url, high, d->timeout_ms)) {
        free(url);
        return 0;
    }
    while (high - low > STEP_BYTES && p2p_now_ms() < until) {
        size_t middle = low + (high - low) / 2;
        if (takes(url, middle, d->timeout_ms))
            low = middle;
        else
            high = middle;
    }
    free(url);
    return low > 0 ? low : high;
}
