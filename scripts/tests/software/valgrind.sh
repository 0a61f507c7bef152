# What valgrind says of a program with mistakes. It runs programs as code that it generates at addresses beyond 4 GiB.
cd "$(mktemp -d)" || exit 1
cat > a.c <<'C'
#include <stdlib.h>
#include <stdio.h>
int main(int argc, char **argv) {
    int *p = malloc(40), *q = malloc(8);
    p[10] = 3;
    if (p[2] > 5) puts("some number");
    free(q);
    return argc + *q;
}
C
gcc -g -O0 -w -o a a.c || exit 1
valgrind --leak-check=full --error-exitcode=9 ./a > log 2>&1
echo "status $?"
# Not where things are, nor what is in other programs.
sed -E 's/==[0-9]+==//; s/0x[0-9A-Fa-f]+/ADDRESS/g' log | grep -E 'Invalid|depends|a\.c|inside a block|after a block|lost|heap usage|ERROR SUMMARY'
