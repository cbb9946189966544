/* What a guest says who may put files into a folder: frames, on one end of a pair of
 * sockets. The first byte chooses whether there is a PIN. Nothing incomplete stays, and
 * the limits hold. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "p2p/clock.h"
#include "p2p/guest_msg.h"
#include "p2p/intake.h"

enum { BYTES = 1000, INPUT_MAX = 65536 };

static char path[] = "/tmp/p2p-fuzz-intake-XXXXXX";

static void
remove_folder(void)
{
    char command[64];

    snprintf(command, sizeof(command), "rm -rf '%s'", path);
    MUST(system(command) == 0);
}

/* A new folder for a run of the program; the files that arrive are small. */
static struct p2p_root *
open_folder(void)
{
    static struct p2p_root *root;

    if (root == NULL) {
        MUST(mkdtemp(path) != NULL);
        atexit(remove_folder);
        MUST(p2p_root_open(path, true, 0700, &root) == P2P_OK);
    }
    return root;
}

static void
read_each_message(const uint8_t *data, size_t len)
{
    struct p2p_have have;
    struct p2p_stored stored;
    struct p2p_proof proof;

    if (p2p_have_parse(data, len, &have) == P2P_OK)
        MUST(have.name.len < len);
    if (p2p_stored_parse(data, len, &stored) == P2P_OK)
        MUST(stored.name.len < len);
    if (p2p_proof_parse(data, len, &proof) == P2P_OK)
        MUST(len == 37);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct p2p_guest_id guest = {{1}};
    struct p2p_intake_options options = {.root = open_folder(),
                                         .title = "t",
                                         .name = "n",
                                         .expires_s = p2p_time_s() + 3600,
                                         .uses = 1,
                                         .bytes = BYTES};
    struct p2p_intake_status status;
    struct p2p_intake *intake;
    int fds[2];

    if (size == 0 || size > INPUT_MAX)
        return 0;
    options.has_pin = (data[0] & 1) != 0;
    read_each_message(data + 1, size - 1);
    MUST(p2p_intake_new(&options, &intake) == P2P_OK);
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    MUST(write(fds[0], data + 1, size - 1) == (ssize_t)(size - 1));
    shutdown(fds[0], SHUT_WR);
    p2p_intake_serve(intake, fds[1], &guest);
    close(fds[0]);
    p2p_intake_status(intake, &status);
    MUST(status.bytes_left <= BYTES && status.received <= INPUT_MAX);
    MUST(status.guests == 0 && status.uses <= 1 && status.parts <= status.uses * 64);
    p2p_intake_free(intake);
    return 0;
}
