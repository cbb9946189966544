/*
 * limits - all limits by name, with their reasons. If a person may want to change a
 * limit, there is an option for it (docs/man), and this is its default.
 */
#ifndef P2P_LIMITS_H
#define P2P_LIMITS_H

#define P2P_KIB (1024ull)
#define P2P_MIB (1024ull * 1024)
#define P2P_GIB (1024ull * 1024 * 1024)

/* Names. A part may have the length that ext4 and most file systems allow; a path is
 * parts joined by '/'. */
#define P2P_NAME_PART_MAX  255
#define P2P_NAME_MAX       1024
#define P2P_NAME_DEPTH_MAX 32

/* Files: 2^50 bytes keeps every sum of sizes and offsets far from overflow, and every
 * size exact in JSON (2^53). */
#define P2P_FILE_SIZE_MAX (1ull << 50)

/* Chunks and trees (PROTOCOL.md, "Trees"). */
#define P2P_BLOCK_SIZE         (16 * P2P_KIB)
#define P2P_CHUNK_SIZE_MIN     (16 * P2P_KIB)
#define P2P_CHUNK_SIZE_MAX     (16 * P2P_MIB)
#define P2P_CHUNK_SIZE_DEFAULT (1 * P2P_MIB)

/* Handshake (PROTOCOL.md, "Handshake"). */
#define P2P_HELLO1_MAX                 1024
#define P2P_HANDSHAKE_FIRST_TIMEOUT_MS 3000
#define P2P_HANDSHAKE_TIMEOUT_MS       10000
#define P2P_HANDSHAKES_MAX             100
#define P2P_HANDSHAKES_RESERVED        25 /* for loopback and known sources */
#define P2P_HANDSHAKES_PER_SOURCE      8
#define P2P_HANDSHAKE_RATE_PER_SOURCE  5
#define P2P_HANDSHAKE_BURST_PER_SOURCE 20
/* Handshakes that use the private key, finished or not. Each takes 0.7 ms of a core:
 * all unknown peers together get about a seventh of one core. */
#define P2P_HANDSHAKE_WORK_RATE     20
#define P2P_HANDSHAKE_WORK_BURST_S  5 /* seconds' worth */
#define P2P_HANDSHAKE_TOTAL_RATE    200
#define P2P_HANDSHAKE_TOTAL_BURST_S 2
#define P2P_HANDSHAKE_SOURCES_MAX   65536

/* Files of one shared folder. */
#define P2P_SHARE_FILES_MAX 1000000

/* The maximum number of known peers, and of those that wait for the user's decision.
 * Unknown peers cause entries of the second kind, so these must not push out the
 * others. */
#define P2P_KNOWN_PEERS_MAX         10000
#define P2P_KNOWN_PEERS_PENDING_MAX 256
/* Places that are reserved for peers that the user has decided about. */
#define P2P_KNOWN_PEERS_KEPT_FREE 1000

/* Records and messages (PROTOCOL.md, "Records" and "Messages"). */
#define P2P_DATA_MAX           (64 * P2P_KIB)
#define P2P_RECORD_PLAIN_MAX   65600
#define P2P_REKEY_FRAMES       (1ull << 20)
#define P2P_REKEY_BYTES        (64 * P2P_GIB)
#define P2P_REKEY_SECONDS      3600
#define P2P_REQUESTS_IN_FLIGHT 64
#define P2P_LAYER_HASHES_MAX   1024
#define P2P_LEAVES_MAX         1024 /* of one answer: 16 MiB are read for it */
#define P2P_LIST_ENTRIES_MAX   256
/* Protocol 1: a CHUNK carries a whole chunk, a request is short. Nonces of a connection
 * are remembered; past this many the connection is closed. */
#define P2P_FRAME1_CHUNK_MAX   (P2P_CHUNK_SIZE_MAX + 64)
#define P2P_FRAME1_REQUEST_MAX (4 * P2P_KIB)
#define P2P_FRAME1_NONCES_MAX  (1u << 18) /* 128 GiB in chunks of 1 MiB; 6 MiB */

/* A peer that serves. */
#define P2P_CONNECTIONS_MAX 4096
#define P2P_CONNECTIONS_PER_SOURCE                                                 \
    1024                             /* so that one address cannot use all of them \
                                      */
#define P2P_CONNECTIONS_RESERVED 512 /* for loopback and known peers */
#define P2P_IDLE_TIMEOUT_MS      120000
#define P2P_STALL_TIMEOUT_MS     30000
#define P2P_CLIENT_MEMORY        (32 * P2P_MIB)
/* Paths over UDP: at once, and what their buffers may hold together. */
#define P2P_CHANNELS_MAX   64
#define P2P_CHANNEL_MEMORY (128 * P2P_MIB)

/* A download. */
#define P2P_DOWNLOAD_CONNECTIONS     4
#define P2P_DOWNLOAD_CONNECTIONS_MAX 16
/* Readers of a download that is not complete yet. */
#define P2P_DOWNLOAD_READERS_MAX  32
#define P2P_DOWNLOAD_BUFFER_BYTES (48 * P2P_MIB)
/* Chunks of one file: their hashes are held in memory before they can be checked, so
 * that a source could fill it by the size it states. 16 TiB in chunks of 1 MiB. */
#define P2P_DOWNLOAD_CHUNKS_MAX (1ull << 24)
/* Hashes of one layer that are held. A source with more has its chunks combined to
 * larger ones (at most P2P_CHUNK_SIZE_MAX). They take 16 MiB, several times that while
 * a layer is checked and stored. */
#define P2P_DOWNLOAD_LAYER_MAX (1ull << 19)
/* For a size that was announced without a root: the file may be larger by this factor,
 * because it may have changed since. */
#define P2P_DOWNLOAD_GROWTH_MAX (64 * P2P_MIB)
/* Space that downloads leave free, 5 % of the disk at most. */
#define P2P_KEEP_FREE  P2P_GIB
#define P2P_TIMEOUT_MS 30000

/* Registry. */
#define P2P_REGISTRY_TTL_S 60
/* The registry of programs that were not given one. */
#define P2P_REGISTRY_DEFAULT   "http://localhost:8000"
#define P2P_HEARTBEAT_S        30
#define P2P_REGISTER_BODY_MAX  (16 * P2P_MIB)
#define P2P_REGISTER_FILES_MAX 100000
#define P2P_JSON_DEPTH_MAX     16
#define P2P_HTTP_ANSWER_MAX    (64 * P2P_MIB)

#endif
