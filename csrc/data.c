// The data sets: labelled points of the plane.

#include <math.h>
#include "micrograd.h"

static void random_point(RNG *rng, Point *point) {
    point->x[0] = rng_uniform(rng, -2.0, 2.0);
    point->x[1] = rng_uniform(rng, -2.0, 2.0);
}

// -----------------------------------------------------------------------------
// three fields: left, lower right, upper right

void gen_data(RNG *rng, Point *points, size_t n) {
    for (size_t i = 0; i < n; i++) {
        random_point(rng, &points[i]);
        points[i].label = points[i].x[0] < 0 ? 0 : points[i].x[1] < 0 ? 1 : 2;
    }
}

// -----------------------------------------------------------------------------
// a disc and two rings around it

void gen_data_circles(RNG *rng, Point *points, size_t n) {
    for (size_t i = 0; i < n; i++) {
        random_point(rng, &points[i]);
        double x = points[i].x[0], y = points[i].x[1];
        double square = pow(x, 2.0) + pow(y, 2.0);  // x**2 + y**2
        points[i].label = square < 1 ? 0 : square < 2 ? 1 : 2;
    }
}

// -----------------------------------------------------------------------------
// yin, yang and their dots: Kriener et al. 2022, https://arxiv.org/abs/2102.08211

static double distance(double x, double y, double x0, double y0) {
    return pow(pow(x - x0, 2.0) + pow(y - y0, 2.0), 0.5);
}

static int yinyang_class(double x, double y, double r_small, double r_big) {
    double right = distance(x, y, 1.5 * r_big, r_big);
    double left = distance(x, y, 0.5 * r_big, r_big);
    if (right < r_small || left < r_small) return 2;  // in a dot
    int yin = right <= r_small || (left > r_small && left <= 0.5 * r_big) || (y > r_big && right > 0.5 * r_big);
    return yin ? 0 : 1;
}

void gen_data_yinyang(RNG *rng, Point *points, size_t n, double r_small, double r_big) {
    for (size_t i = 0; i < n; i++) {
        int goal = (int)(i % 3);
        double x, y;
        do {  // until a point of the square is in the disc and of the class wanted
            x = rng_uniform(rng, 0.0, 2.0 * r_big);
            y = rng_uniform(rng, 0.0, 2.0 * r_big);
        } while (distance(x, y, r_big, r_big) > r_big || yinyang_class(x, y, r_small, r_big) != goal);
        points[i].x[0] = (x / r_big - 1) * 2;
        points[i].x[1] = (y / r_big - 1) * 2;
        points[i].label = goal;
    }
}
