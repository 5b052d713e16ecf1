// Numbers as text (repr.c).

#ifndef REPR_H
#define REPR_H

// Write x as Python's repr does, in the fewest digits that read back as x; text has
// room for 32 characters.
void number_repr(double x, char *text);

#endif
