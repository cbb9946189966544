/* Calls and answers (docs/PROTOCOL.md, "Calls"), a bounded model for Spin 6.5. The attacker is the registry: it
 * delivers, keeps back, repeats and mixes all messages, and is a peer E of its own that B trusts, too. A calls twice,
 * B answers two calls. This is a bounded search, not a proof.
 *
 * Claims. An answer that A accepts from B was made by B for this call of A. A channel of a call from A to B has both
 * of them at its ends, for this call. B answers each call of A once.
 *
 * Switches leave out one check each. An error must be found with NO_SIG_CALL, NO_SIG_ANSWER, NO_FINGERPRINT, NO_FROM,
 * NO_TO (of a call), NO_ANSWER_TO, NO_SEEN, NO_EXPIRY, and with NO_SESSION and NO_CALLED together; none is found with
 * only one of these two, as each stands in for the other. REACH: channels do open. */
#define A 1
#define B 2
#define E 3
#define CERT_E 5          /* certificates: of A's call i it is i, of B's answer j it is 10 + j */
#define CERT_B(j) (10+(j))
#define NEEDS(condition) if :: (condition) -> skip :: else -> goto refused fi

byte now;                 /* a call is valid in the time of its making, and B remembers sessions as long */

byte ast[3];              /* A's call i: 1 made, 2 answered, 3 has a channel */
byte apeer[3]; byte atime[3];
byte apin[3];             /* the certificate that the other end has to show */

byte bst[3];              /* B's answer j: 1 made, 2 has a channel */
byte bfrom[3]; byte bsession[3]; byte btime[3];
byte bpin[3];             /* that of the call; the answer is signed over it as `called` */

proctype Caller(byte i) {
  byte from, to, session, cert, called, j;
  atomic {
    if :: apeer[i] = B :: apeer[i] = E fi;
    atime[i] = now; ast[i] = 1
  }
  atomic {                /* an answer arrives: which one, the registry decides */
    if
    :: bst[1] >= 1 -> j = 1
    :: bst[2] >= 1 -> j = 2
    :: from = E; to = A; session = i; called = i; if :: cert = CERT_E :: cert = CERT_B(1) :: cert = CERT_B(2) fi
#ifdef NO_SIG_ANSWER
    :: from = B; to = A; session = i; called = i; cert = CERT_E
#endif
    fi;
    if
    :: j > 0 -> from = B; to = bfrom[j]; session = bsession[j]; cert = CERT_B(j); called = bpin[j]
    :: else -> skip
    fi;
#ifndef NO_FROM
    NEEDS(from == apeer[i]);
#endif
#ifndef NO_ANSWER_TO
    NEEDS(to == A);
#endif
#ifndef NO_SESSION
    NEEDS(session == i);
#endif
#ifndef NO_CALLED
    NEEDS(called == i);
#endif
    apin[i] = cert; ast[i] = 2;
    assert(apeer[i] != B || (j > 0 && bfrom[j] == A && bsession[j] == i && bpin[j] == i));
    from = 0; to = 0; session = 0; cert = 0; called = 0; j = 0
  }
  atomic {                /* DTLS: the other end shows the certificate, and takes only the one that it was told */
    if
    :: apin[i] == CERT_E -> j = 0
#ifdef NO_FINGERPRINT
    :: j = 0
#endif
    :: apin[i] == CERT_B(1) && bst[1] >= 1 && bpin[1] == i -> j = 1
    :: apin[i] == CERT_B(2) && bst[2] >= 1 && bpin[2] == i -> j = 2
    fi;
    ast[i] = 3;
    assert(apeer[i] != B || (j > 0 && bfrom[j] == A && bsession[j] == i));
#ifdef REACH
    assert(!(apeer[i] == B && bst[j] == 2));
#endif
    j = 0
  }
refused:
  skip
}

proctype Callee(byte j) {
  byte from, to, session, cert, time, i;
  atomic {                /* a call arrives */
    if
    :: ast[1] >= 1 -> i = 1
    :: ast[2] >= 1 -> i = 2
    :: from = E; to = B; time = now;
       if :: session = 1 :: session = 2 fi;
       if :: cert = 1 :: cert = 2 :: cert = CERT_E fi
#ifdef NO_SIG_CALL
    :: from = A; to = B; time = now; cert = CERT_E; if :: session = 1 :: session = 2 fi
#endif
    fi;
    if
    :: i > 0 -> from = A; to = apeer[i]; session = i; cert = i; time = atime[i]
    :: else -> skip
    fi;
#ifndef NO_TO
    NEEDS(to == B);
#endif
#ifndef NO_EXPIRY
    NEEDS(time == now);
#endif
#ifndef NO_SEEN
    NEEDS(!(bst[3-j] >= 1 && bsession[3-j] == session && btime[3-j] == now)); /* the memory is of this time only */
#endif
    assert(!(from == A && bst[3-j] >= 1 && bfrom[3-j] == A && bsession[3-j] == session));
    bfrom[j] = from; bsession[j] = session; bpin[j] = cert; btime[j] = now; bst[j] = 1;
    from = 0; to = 0; session = 0; cert = 0; time = 0; i = 0
  }
  atomic {                /* DTLS */
    if
    :: bfrom[j] == A && bpin[j] == CERT_E -> i = 0
#ifdef NO_FINGERPRINT
    :: bfrom[j] == A -> i = 0
#endif
    :: bpin[j] == 1 && ast[1] >= 2 && apin[1] == CERT_B(j) -> i = 1
    :: bpin[j] == 2 && ast[2] >= 2 && apin[2] == CERT_B(j) -> i = 2
    fi;
    bst[j] = 2;
    assert(bfrom[j] != A || (i > 0 && apeer[i] == B && bsession[j] == i));
    i = 0
  }
refused:
  skip
}

proctype Time() { now = 1 }

init {
  atomic { run Caller(1); run Caller(2); run Callee(1); run Callee(2); run Time() }
}
