// A float as Python writes it: the shortest text that reads back as the same float.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "repr.h"

// 1.29e+00 becomes 1.30e+00. (9.99e+00 becomes 0.00e+00, which reads back as nothing
// that was asked for: what needs one digit more is found with one digit.)
static void increment_last_digit(char *text) {
    for (char *c = strchr(text, 'e') - 1; c >= text; c--) {
        if (*c == '.') continue;
        if (*c != '9') {
            ++*c;
            return;
        }
        *c = '0';
    }
}

// the digits of |x| without a point, and the power of ten of the first one
static int shortest_digits(double x, char *digits) {
    char text[32];
    for (int n = 1; n <= 17; n++) {
        snprintf(text, sizeof text, "%.*e", n - 1, x);
        // floats lie closer together below a power of two than above it: there the nearest
        // n digits, a little too small, may not read back while their upper neighbours do
        if (strtod(text, NULL) < x) increment_last_digit(text);
        if (strtod(text, NULL) == x) break;
    }
    char *e = strchr(text, 'e');
    size_t length = 0;
    for (const char *c = text; c < e; c++) {
        if (*c != '.') digits[length++] = *c;
    }
    while (length > 1 && digits[length - 1] == '0') length--;
    digits[length] = '\0';
    return atoi(e + 1);
}

void number_repr(double x, char *text) {
    if (isnan(x)) {
        strcpy(text, "nan");
        return;
    }
    if (signbit(x)) *text++ = '-';
    if (isinf(x)) {
        strcpy(text, "inf");
        return;
    }
    char digits[32];
    int exponent = shortest_digits(fabs(x), digits);
    int n = (int)strlen(digits);
    if (exponent < -4 || exponent >= 16) {  // 1e+16, 1.5e-05
        sprintf(text, "%c%s%s", digits[0], n > 1 ? "." : "", digits + 1);
        sprintf(text + strlen(text), "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
    } else if (exponent < 0) {              // 0.00015
        sprintf(text, "0.%.*s%s", -exponent - 1, "000", digits);
    } else if (n <= exponent + 1) {         // 1500.0
        sprintf(text, "%s%.*s.0", digits, exponent + 1 - n, "000000000000000");
    } else {                                // 1.5
        sprintf(text, "%.*s.%s", exponent + 1, digits, digits + exponent + 1);
    }
}
