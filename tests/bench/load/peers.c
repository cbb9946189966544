#include <stdio.h>
#include <string.h>

#include "load.h"
#include "p2p/bytes.h"

/* The file a peer has at a place: half of them common, half rare. */
static uint64_t
file_of(uint64_t peer, unsigned place, uint64_t names, unsigned version)
{
    uint64_t state = peer << 20 | (place + 1);

    if (place % 10 == 9)
        state += (uint64_t)version << 50;
    state = next_random(&state);
    return place % 2 == 0 ? state % names : state % (names / 20 + 1);
}

size_t
make_body(uint64_t peer, unsigned files, uint64_t names, unsigned version, char *out)
{
    char pem[P2P_PEM_LEN + 1], escaped[P2P_PEM_LEN * 2], hex[65], name[NAME_SIZE];
    struct p2p_spki key;
    struct p2p_id id;
    size_t n = 0;

    make_key(peer, &key);
    p2p_spki_to_pem(&key, pem);
    if (p2p_spki_id(&key, &id) != P2P_OK)
        die("no id");
    for (const char *p = pem; *p != '\0'; p++) {
        if (*p == '\n')
            escaped[n++] = '\\';
        escaped[n++] = *p == '\n' ? 'n' : *p;
    }
    escaped[n] = '\0';
    p2p_hex_format(id.b, sizeof(id.b), hex);
    n = (size_t)sprintf(out,
                        "{\"peer_id\":\"%s\",\"public_key\":\"%s\",\"port\":9000,"
                        "\"ip\":\"10.%u.%u.%u\",\"entries\":[",
                        hex, escaped, (unsigned)(peer >> 16) & 255,
                        (unsigned)(peer >> 8) & 255, (unsigned)peer & 255);
    for (unsigned i = 0; i < files; i++) {
        uint64_t file = file_of(peer, i, names, version), seen = 0;
        struct p2p_digest root;

        for (unsigned k = 0; k < i && !seen; k++)
            seen = file_of(peer, k, names, version) == file;
        if (seen)
            continue;
        make_name(file, name);
        if (p2p_sha256(name, strlen(name), &root) != P2P_OK)
            die("no hash");
        p2p_hex_format(root.b, sizeof(root.b), hex);
        n += (size_t)sprintf(out + n,
                             "%s{\"name\":\"%s\",\"size\":%llu,\"root\":\"%s\"}",
                             out[n - 1] == '[' ? "" : ",", name,
                             (unsigned long long)(file * 4096 + 1), hex);
    }
    return n + (size_t)sprintf(out + n, "]}");
}

void
post_registration(int fd, const char *body, size_t len, char *answer)
{
    char head[160];
    int n = snprintf(head, sizeof(head),
                     "POST /register HTTP/1.1\r\nHost: localhost\r\n"
                     "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                     len);

    send_all(fd, head, (size_t)n);
    send_all(fd, body, len);
    if (receive(fd, answer) != 200)
        die(answer);
}
