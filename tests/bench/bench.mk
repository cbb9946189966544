# Programs of scripts/bench.sh: tests/bench/<name>.c becomes build/<mode>/bench/<name>, with what they share of load/.
BENCHES := $(patsubst tests/bench/%.c,%,$(wildcard tests/bench/*.c))
BENCH_LOAD := $(patsubst %.c,$(B)/%.o,$(wildcard tests/bench/load/*.c))

$(B)/bench/%: $(B)/tests/bench/%.o $(BENCH_LOAD) $(CORE)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) $(HTTP_LIBS) $(LIBS)

bench: all $(addprefix $(B)/bench/,$(BENCHES))

.PHONY: bench
