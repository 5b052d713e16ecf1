"""How fast micrograd is, against what it could be and against other ways to do the same.

    python -m bench            compares everything, writes RESULTS.md and the plots here,
                               prints the targets; status 1 if one is missed
    python -m bench --quick    the targets alone, with a factor of two to spare; writes nothing
    pytest --benchmark-only    every measurement by itself, in pytest-benchmark's tables

    pip install '.[test,bench]' brings the rivals and what the plots need; without them what is
    there is compared.

What is measured:

    by_hand.c                  the course's step without an engine: the limit
    closures.py                the engine as the course writes it: the baseline
    course.py                  the step with our engines, in the three ways to write it
    gpt.py                     a small GPT in scalars, over any Value and with our functions
    gpt_by_hand.c, gpt_numpy.py    its step without an engine
    slotted.py                 a Value with slots and local gradients: the GPT's baseline
    loops.py, floats.py        loops over numbers: operators, attributes, nodes of the user's
    adamw.c                    steps of an optimiser
    c_steps.c                  the step as a C program takes it
    rivals.py                  the step in other people's libraries
    graphs.py, c_nodes.c       graphs of any size: build, order, backward, forward, free
    memory.py, imports.py      bytes a node, and what an import costs

and how:

    paths.py                   every way to take a step: its command, and which package it needs
    py_steps.py, py_nodes.py   the commands of those in Python, twins of c_steps.c and c_nodes.c
    programs.py                compiles those in C
    measure.py                 runs them in turn, in rounds, and looks at their numbers first
    targets.py                 what has to be reached
    report.py, plots.py        RESULTS.md, the READMEs' tables, the plots
    clock.py                   how pytest-benchmark gets to know what another process has measured
"""
