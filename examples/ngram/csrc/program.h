// The frame of a program: files read, an end with one line that says what is wrong. main.c includes
// it, after it has defined PROGRAM, the program's name. Nothing of the library may end the process, so
// nothing of the library includes this.

#ifndef PROGRAM_H
#define PROGRAM_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// say what is wrong, with a file if there is one, and end
static inline void program_stop(const char *path, const char *problem) {
    if (path) fprintf(stderr, PROGRAM ": %s: %s\n", path, problem);
    else fprintf(stderr, PROGRAM ": %s\n", problem);
    exit(EXIT_FAILURE);
}

// n zeros of a size, which the caller frees
static inline void *program_memory(size_t n, size_t size) {
    void *memory = calloc(n ? n : 1, size);
    if (!memory) program_stop(NULL, "out of memory");
    return memory;
}

// a file's bytes, which the caller frees
static inline char *program_read_file(const char *path, size_t *n) {
    FILE *file = fopen(path, "rb");
    if (!file) program_stop(path, strerror(errno));
    size_t room = 1 << 16;
    char *text = program_memory(room, 1);
    *n = 0;
    while ((*n += fread(text + *n, 1, room - *n, file)) == room) {
        char *larger = realloc(text, room *= 2);
        if (!larger) program_stop(NULL, "out of memory");
        text = larger;
    }
    if (ferror(file)) program_stop(path, strerror(errno));  // such as of a folder
    fclose(file);
    if (*n == 0) program_stop(path, "the file is empty");
    return text;
}

// the exit status, when all is printed: the disk may be full
static inline int program_end(void) {
    if (fflush(stdout) == 0) return EXIT_SUCCESS;
    if (errno != EPIPE) fprintf(stderr, PROGRAM ": %s\n", strerror(errno));
    return EXIT_FAILURE;
}

#endif
