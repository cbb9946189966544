# Programs of scripts/bench.sh: tests/bench/<name>.c becomes build/<mode>/bench/<name>.
BENCHES := $(patsubst tests/bench/%.c,%,$(wildcard tests/bench/*.c))

$(B)/bench/%: $(B)/tests/bench/%.o $(CORE)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) $(HTTP_LIBS) $(LIBS)

bench: all $(addprefix $(B)/bench/,$(BENCHES))

.PHONY: bench
