# What gcc's sanitizers say of programs with mistakes. They reserve terabytes, at addresses of their choice.
cd "$(mktemp -d)" || exit 1
cat > a.c <<'C'
#include <pthread.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static int table[4];
static void *work(void *from) { free(from); return from; }
int main(int argc, char **argv) {
    int what = atoi(argv[1]), one = argc - 1;
    char *heap = malloc(100), stack[8];
    memset(heap, what, 100);
    pthread_t thread;
    switch (what) {
    case 1: heap[99 + one] = 1; break;
    case 2: free(heap); return heap[10 * one];
    case 3: return stack[8 * one] + table[0];
    case 4: return table[4 * one];
    case 5: free(heap); free(heap); break;
    case 6: heap = NULL; break;
    case 7: pthread_create(&thread, NULL, work, heap); pthread_join(thread, NULL); return heap[one];
    case 8: return one << (32 * one);
    case 9: printf("%d\n", 2147483647 + one); break;
    case 10: write(1, heap, 101 * one); break;
    case 11: memcpy(heap + 1, heap, 100); break;
    }
    free(heap);
    puts("done");
    return 0;
}
C
gcc -g -O1 -w -fsanitize=address,undefined -o a a.c -pthread || exit 1
for what in 0 1 2 3 4 5 6 7 8 9 10 11; do
  echo "-- $what"
  ./a $what > log 2>&1
  echo "status $?"
  # Not where things are, nor what is in other programs.
  sed -E 's/0x[0-9a-f]+|==[0-9]+==|\[.*\)//g' log |
    grep -aE '^=*ERROR|^(READ|WRITE) of|is located|previously|allocated by|freed by|a\.c|^SUMMARY|done|leak' |
    sed "s|$PWD/||g; s|(BuildId.*||"
done
