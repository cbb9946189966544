/* The libraries in use, for --version. They are found at run time, so a program lists
 * exactly the libraries that it has loaded, with the installed versions, and needs no
 * additional ones. */
#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/options.h"

struct library {
    const char *name;
    const char *file;     /* how the name of its file begins */
    const char *function; /* returns a text with its version, or NULL */
};

static const struct library libraries[] = {
    {"OpenSSL", "libcrypto.so.", "OpenSSL_version"},
    {"libcurl", "libcurl.so.", "curl_version"},
    {"SQLite", "libsqlite3.so.", "sqlite3_libversion"},
    {"zstd", "libzstd.so.", "ZSTD_versionString"},
    {"libmicrohttpd", "libmicrohttpd.so.", "MHD_get_version"},
    {"zlib", "libz.so.", "zlibVersion"},
    {"cJSON", "libcjson.so.", "cJSON_Version"},
    {"libqrencode", "libqrencode.so.", "QRcode_APIVersionString"},
    {"GnuTLS", "libgnutls.so.", "gnutls_check_version"},
    {"libseccomp", "libseccomp.so.", NULL},
    {"hiredis", "libhiredis.so.", NULL},
    {"libuuid", "libuuid.so.", NULL},
    {"avahi-client", "libavahi-client.so.", NULL},
    {"libsystemd", "libsystemd.so.", NULL},
};

/* The path of a loaded library, or "". */
struct search {
    const struct library *library;
    char path[PATH_MAX];
};

static int
on_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct search *search = arg;
    const char *file = strrchr(info->dlpi_name, '/');

    (void)size;
    if (file == NULL ||
        strncmp(file + 1, search->library->file, strlen(search->library->file)) != 0)
        return 0;
    if (realpath(info->dlpi_name, search->path) == NULL)
        snprintf(search->path, sizeof(search->path), "%s", info->dlpi_name);
    return 1;
}

/* The version in the library's own text: the first word that begins with a digit. */
static bool
ask_version(const struct library *library, char *out, size_t cap)
{
    const char *(*function)(uintptr_t unused);
    void *symbol =
        library->function != NULL ? dlsym(RTLD_DEFAULT, library->function) : NULL;
    const char *text, *at;

    if (symbol == NULL)
        return false;
    memcpy(&function, &symbol, sizeof(function));
    text = function(0); /* OpenSSL's and GnuTLS's look at it: the whole version */
    at = text != NULL ? strpbrk(text, "0123456789") : NULL;
    if (at == NULL)
        return false;
    snprintf(out, cap, "%.*s", (int)strcspn(at, " ,"), at);
    return true;
}

void
p2p_libraries_print(void)
{
    for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
        struct search search = {&libraries[i], ""};
        char version[64];
        const char *file;

        dl_iterate_phdr(on_object, &search);
        if (search.path[0] == '\0')
            continue;
        file = strrchr(search.path, '/');
        if (!ask_version(&libraries[i], version, sizeof(version)))
            snprintf(version, sizeof(version), "%s",
                     file != NULL ? file + 1 + strlen(libraries[i].file) : "?");
        printf("  %s %s\n", libraries[i].name, version);
    }
}
