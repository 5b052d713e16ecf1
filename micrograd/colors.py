"""The colours of the plots and of the notebook's pictures.

The colour-blind can tell them apart, and they are seen on white and on black. They are those of
Okabe and Ito, but for a lighter blue.
"""

BLUE, ORANGE, GREEN, PURPLE = "#2f86c8", "#e69f00", "#009e73", "#cc79a7"
SKY, VERMILION, YELLOW = "#56b4e9", "#d55e00", "#f0e442"

POSITIVE, NEGATIVE = BLUE, ORANGE  # weights and biases
GREY = "#868e96"  # lines; weights and biases that are not finite
FAINTEST = 0.2  # how strong the colour of a 0 is, if that of the largest number is 1
THINNEST, WIDEST = 0.3, 3.0  # lines of a weight of 0 and of the largest, in points
