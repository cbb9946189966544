/*
 * spki - the canonical SubjectPublicKeyInfo as template || n || e, for the files of
 * crypto/ that need its parts. Public functions are in p2p/crypto.h.
 */
#ifndef P2P_CORE_CRYPTO_SPKI_H
#define P2P_CORE_CRYPTO_SPKI_H

#include "p2p/crypto.h"

/* Without checks: for keys that this program made. */
void p2p_spki_from_modulus(const uint8_t n[P2P_RSA_LEN], struct p2p_spki *out);
/* Borrows the modulus, big endian, inside spki. */
const uint8_t *p2p_spki_modulus(const struct p2p_spki *spki);

#endif
