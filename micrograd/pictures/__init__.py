"""Pictures of graphs and networks: SVG of our own, and what draw_dot needs to run graphviz.

picture.py      picture(), and what a notebook shows for a Value
boxes.py        the SVG of a graph: a box for each Value
layout.py       where boxes and lines go; it knows nothing of Values
network.py      what a notebook shows for a network
svg.py          pieces of SVG
dot_program.py  graphviz's program `dot`, in limited time
"""
