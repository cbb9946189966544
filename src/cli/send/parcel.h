/*
 * parcel - the files and folders that the user sends: finds them, hashes them, and
 * hands them to the carrier. Files stay where they are. Links and special files are
 * left out. Single-threaded.
 */
#ifndef CLI_PARCEL_H
#define CLI_PARCEL_H

#include "cli/send/carrier.h"
#include "p2p/limits.h"

#define PARCEL_ITEMS_MAX 64 /* named by the user; a folder counts once */

struct parcel_item {
    char name[P2P_NAME_MAX + 2]; /* a folder's ends in '/' */
    uint64_t size, files;
    struct p2p_digest root; /* of a file */
};

struct parcel {
    struct parcel_item items[PARCEL_ITEMS_MAX];
    size_t count;
    uint64_t size, files, left_out;
};

/* Checks the paths ("-": standard input, under the name `input_name`), and that the
 * names differ. Returns 0 or the exit status; prints its own messages. */
int parcel_check(char *const *paths, size_t count, const char *input_name,
                 struct parcel *out);
/* Hashes everything and hands it over. Shows progress if `shows`. Returns 0 or the exit
 * status. */
int parcel_pack(struct parcel *p, char *const *paths, struct carrier *carrier,
                bool shows);

#endif
