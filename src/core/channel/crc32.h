/* Checksums: CRC-32 (of STUN's FINGERPRINT) and CRC-32C (of SCTP, RFC 9260, appendix
 * A). Against faults of the network, not against people. Thread-safe. */
#ifndef P2P_CHANNEL_CRC32_H
#define P2P_CHANNEL_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32 as in zip and Ethernet (ITU V.42). */
uint32_t p2p_crc32(const void *data, size_t len);
/* Goes on from the sum of the bytes before; 0 at the first ones. */
uint32_t p2p_crc32c(uint32_t before, const void *data, size_t len);
/* The same for processors without an instruction for it. */
uint32_t p2p_crc32c_by_tables(uint32_t before, const void *data, size_t len);

#endif
