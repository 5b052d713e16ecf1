# What the Makefile of every project of this shape includes, after it has set NAME:
#
#     make          builds ./NAME, the program
#     make test     builds and runs the tests: those in TESTS, of tests/
#     make memory   runs tests/memory.c, which lets every allocation fail once
#     make asan     all of these under the address, leak and undefined-behaviour sanitizers
#     make sanitized    that, and with what other sanitizers there are
#     make valgrind the program and the tests under valgrind
#     make clean
#
# Arguments of a program in a check are in a variable of its name: VALGRIND_memory = 0,
# ASAN_$(NAME) = FILE. With each file in WRONG the program has to end with status 1, and without a
# report. The checks run here, in csrc/.

TESTS ?= test
WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wconversion
SANITIZE = -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LIBRARY = $(filter-out main.c,$(wildcard *.c))
PARTS = $(LIBRARY) $(wildcard *.h tests/*.h) cflags Makefile rules.mk
COMPILE = mkdir -p build && $(CC) @cflags -I. $(WARNINGS) $(CFLAGS) $(LINK)

$(NAME): main.c $(PARTS)
	$(CC) @cflags $(WARNINGS) $(CFLAGS) -o $@ main.c $(LIBRARY) -lm

build/$(NAME)-asan: main.c $(PARTS)
	$(COMPILE) $(SANITIZE) -o $@ main.c $(LIBRARY) -lm

build/%: tests/%.c $(PARTS)
	$(COMPILE) -o $@ $< $(LIBRARY) -lm

build/%-asan: tests/%.c $(PARTS)
	$(COMPILE) $(SANITIZE) -o $@ $< $(LIBRARY) -lm

# every allocation goes through tests/failing.h
FAILING = -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free
build/memory build/memory-asan: LINK = $(FAILING)

test: $(TESTS:%=build/%)
	$(foreach test,$(TESTS),./build/$(test) &&) true

memory: build/memory
	./build/memory

asan: build/$(NAME)-asan $(TESTS:%=build/%-asan) build/memory-asan
	./build/$(NAME)-asan $(ASAN_$(NAME)) > build/output.txt
	export ASAN_OPTIONS=exitcode=99:detect_leaks=0 UBSAN_OPTIONS=exitcode=99; $(call refuses_wrong,./build/$(NAME)-asan)
	$(foreach test,$(TESTS) memory,./build/$(test)-asan $(ASAN_$(test)) &&) true

sanitized: asan

refuses_wrong = $(foreach file,$(WRONG),{ $(1) $(file) > build/output.txt 2>&1; \
    [ $$? = 1 ] || { cat build/output.txt; false; }; } &&) true

VALGRIND = valgrind --quiet --error-exitcode=1 --leak-check=full --show-leak-kinds=all \
           --errors-for-leak-kinds=all

valgrind: $(NAME) $(TESTS:%=build/%) build/memory
	$(VALGRIND) ./$(NAME) $(VALGRIND_$(NAME)) > build/output.txt
	$(call refuses_wrong,valgrind --quiet --error-exitcode=99 ./$(NAME))
	$(foreach test,$(TESTS) memory,$(VALGRIND) ./build/$(test) $(VALGRIND_$(test)) &&) true

clean:
	rm -rf $(NAME) build

.PHONY: test memory asan sanitized valgrind clean
.DEFAULT_GOAL = $(NAME)
