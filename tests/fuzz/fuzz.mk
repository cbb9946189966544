# Fuzzing. A target is tests/fuzz/fuzz_<name>.c with a corpus in tests/fuzz/corpus/<name>/.
# `make check` replays the corpora with any compiler; `make fuzz` needs clang's libFuzzer
# and keeps what it finds in build/fuzz/<name>. make_corpus.py writes the first seeds.

FUZZ_TIME ?= 60
FUZZ      := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ      := $(if $(T),$(filter $(T),$(FUZZ)),$(FUZZ))
FUZZ_OBJ  := $(call objs,tests/fuzz/common.c)

# A target of more than the core names its files in its first line, like a unit test.
fuzz_uses = $(call used,$(shell sed -n '1s|^// uses ||p' tests/fuzz/fuzz_$(1).c))
define fuzz_target
$(B)/fuzz/$(1): $(B)/tests/fuzz/fuzz_$(1).o $(B)/tests/fuzz/replay.o $(FUZZ_OBJ) $(call fuzz_uses,$(1)) $(HTTP) $(CORE)
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) -o $$@ $$^ $(ALL_LDFLAGS) $(HTTP_LIBS) $(LIBS)

$(B)/libfuzzer/$(1): $(B)/tests/fuzz/fuzz_$(1).o $(FUZZ_OBJ) $(call fuzz_uses,$(1)) $(HTTP) $(CORE)
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) -fsanitize=fuzzer -o $$@ $$^ $(ALL_LDFLAGS) $(HTTP_LIBS) $(LIBS)
endef
$(foreach f,$(FUZZ),$(eval $(call fuzz_target,$(f))))

# A corpus that crashes fails `make check` like any test. Targets have one thread: the thread sanitizer
# would find nothing in them.
check-corpus: $(addprefix $(B)/fuzz/,$(FUZZ))
	$(Q)set -e; for t in $(FUZZ); do $(B)/fuzz/$$t tests/fuzz/corpus/$$t; done
ifeq ($(T)$(filter thread,$(SAN)),)
check: | check-corpus
endif

libfuzzer-targets: $(addprefix $(B)/libfuzzer/,$(FUZZ))
fuzz:
	$(Q)$(MAKE) --no-print-directory CC=clang SAN=fuzzer-no-link,address,undefined \
	    libfuzzer-targets
	$(Q)set -e; for t in $(FUZZ); do \
	    echo "== $$t"; mkdir -p build/fuzz/$$t; \
	    build/clang-fuzzer-no-link-address-undefined/libfuzzer/$$t \
	        -max_total_time=$(FUZZ_TIME) -timeout=5 -rss_limit_mb=1024 -max_len=4096 \
	        -print_final_stats=0 -verbosity=0 -artifact_prefix=build/fuzz/$$t- \
	        build/fuzz/$$t tests/fuzz/corpus/$$t; done

.PHONY: check-corpus libfuzzer-targets fuzz
